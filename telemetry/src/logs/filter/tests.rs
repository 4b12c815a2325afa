use super::*;

#[test]
fn no_level_makes_other_crates_log_bodies() {
    for asked_for in [
        "trace",
        "lambda=trace,aws=trace",
        "info,lambda_runtime=trace,aws_smithy_runtime=trace",
        "lambda_runtime::layers=trace,aws_smithy_runtime::client=trace,debug",
    ] {
        let filter = without_bodies(asked_for.parse().unwrap());
        for target in ["lambda_runtime::layers", "aws_smithy_runtime::client"] {
            assert!(!filter.would_enable(target, &Level::TRACE), "{asked_for}");
            assert!(filter.would_enable(target, &Level::DEBUG), "{asked_for}");
        }
    }
}

#[test]
fn what_else_is_asked_for_stays() {
    for asked_for in ["info", "warn,hyper=trace", "lambda_runtime=error", "trace"] {
        let filter: Targets = asked_for.parse().unwrap();
        let kept = without_bodies(filter.clone());
        for (target, level) in [
            ("hyper", Level::TRACE),
            ("baton_lambda", Level::TRACE),
            ("baton_lambda", Level::INFO),
            ("lambda_runtime", Level::WARN),
        ] {
            let expected = filter.would_enable(target, &level);
            assert_eq!(
                kept.would_enable(target, &level),
                expected,
                "{asked_for}: {target}"
            );
        }
    }
}

#[test]
fn opentelemetrys_own_lines_are_warnings_unless_they_are_asked_for_by_name() {
    for (asked_for, api, sdk) in [
        ("info", LevelFilter::WARN, LevelFilter::WARN),
        ("trace", LevelFilter::WARN, LevelFilter::WARN),
        ("error", LevelFilter::ERROR, LevelFilter::ERROR),
        ("orders=debug", LevelFilter::OFF, LevelFilter::OFF),
        (
            "info,opentelemetry=debug",
            LevelFilter::DEBUG,
            LevelFilter::DEBUG,
        ),
        (
            "info,opentelemetry_sdk=debug",
            LevelFilter::WARN,
            LevelFilter::DEBUG,
        ),
        ("opentelemetry=off,info", LevelFilter::OFF, LevelFilter::OFF),
    ] {
        let filter = line_filter(asked_for.parse().unwrap());
        for (target, expected) in [("opentelemetry", api), ("opentelemetry_sdk", sdk)] {
            for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG] {
                assert_eq!(
                    filter.would_enable(target, &level),
                    level <= expected,
                    "{asked_for}: {target} {level}"
                );
            }
        }
    }
}
