use super::*;

#[test]
fn other_crates_do_not_log_message_bodies_at_any_level() {
    for directives in [
        "trace",
        "lambda=trace,aws=trace",
        "info,lambda_runtime=trace,aws_smithy_runtime=trace",
        "lambda_runtime::layers=trace,aws_smithy_runtime::client=trace,debug",
    ] {
        let filter = without_bodies(directives.parse().unwrap());
        for target in ["lambda_runtime::layers", "aws_smithy_runtime::client"] {
            assert!(!filter.would_enable(target, &Level::TRACE), "{directives}");
            assert!(filter.would_enable(target, &Level::DEBUG), "{directives}");
        }
    }
}

#[test]
fn other_directives_are_kept() {
    for directives in ["info", "warn,hyper=trace", "lambda_runtime=error", "trace"] {
        let filter: Targets = directives.parse().unwrap();
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
                "{directives}: {target}"
            );
        }
    }
}

#[test]
fn opentelemetrys_own_lines_are_limited_to_warnings_unless_the_filter_names_them() {
    for (directives, api, sdk) in [
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
        let filter = line_filter(directives.parse().unwrap());
        for (target, expected) in [("opentelemetry", api), ("opentelemetry_sdk", sdk)] {
            for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG] {
                assert_eq!(
                    filter.would_enable(target, &level),
                    level <= expected,
                    "{directives}: {target} {level}"
                );
            }
        }
    }
}
