use super::*;

const PAUSE: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(1);

fn breaker() -> Breaker {
    Breaker::new("collector:4318".to_owned(), PAUSE)
}

fn at(seconds: f64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs_f64(1_000_000.0 + seconds)
}

fn cost(time: Duration) -> Cost {
    Cost {
        time,
        limit: LIMIT,
        bytes: 1000,
    }
}

/// A request that begins at so many seconds and ends at once, but for `time`. `None`, if it was not
/// let through.
fn request(
    breaker: &Breaker,
    seconds: f64,
    health: Health,
    time: Duration,
) -> Option<&'static str> {
    let permit = breaker.acquire(at(seconds))?;
    let kind = if permit.is_probe() {
        "probe"
    } else {
        "request"
    };
    permit.report(health, cost(time), at(seconds) + time);
    Some(kind)
}

fn fails(breaker: &Breaker, seconds: f64) -> Option<&'static str> {
    request(breaker, seconds, Health::Failed, Duration::from_micros(100))
}

fn works(breaker: &Breaker, seconds: f64) -> Option<&'static str> {
    request(
        breaker,
        seconds,
        Health::Accepted,
        Duration::from_micros(100),
    )
}

fn hangs(breaker: &Breaker, seconds: f64) -> Option<&'static str> {
    request(breaker, seconds, Health::Failed, LIMIT)
}

/// After so many seconds, with a pause that has just begun.
fn opened(breaker: &Breaker) {
    for second in [-1.0, 0.0] {
        request(breaker, second - 1.0, Health::Failed, LIMIT);
    }
    assert!(!breaker.is_closed());
}

#[test]
fn two_requests_are_waited_for_and_five_that_fail_at_once_are_tried() {
    let hanging = breaker();
    let (mut now, mut waited) = (0.0, 0);
    for _ in 0..100 {
        if hangs(&hanging, now).is_some() {
            now += LIMIT.as_secs_f64();
            waited += 1;
        }
        now += 0.01;
    }
    assert_eq!(waited, 2);
    let refusing = breaker();
    let tried = (0..100).filter_map(|at| fails(&refusing, f64::from(at) / 50.0));
    assert_eq!(tried.count(), 5);
}

#[test]
fn a_success_between_failures_is_a_new_beginning() {
    let breaker = breaker();
    for second in 0..100 {
        let outcome = if second % 5 == 4 { works } else { fails };
        assert_eq!(outcome(&breaker, second.into()), Some("request"));
    }
}

#[test]
fn an_answer_that_is_slow_again_and_again_counts_like_none() {
    let breaker = breaker();
    let slow_after = |seconds| request(&breaker, seconds, Health::Accepted, SLOW);
    assert_eq!(slow_after(0.0), Some("request"));
    assert_eq!(slow_after(1.0), Some("request"));
    assert_eq!(slow_after(2.0), None);
}

#[test]
fn a_large_request_may_take_its_time() {
    let time = Duration::from_millis(1500);
    let (limit, bytes) = (Duration::from_secs(10), 3 * 1024 * 1024);
    assert!(!Cost { time, limit, bytes }.is_slow());
    let bytes = 1000;
    assert!(Cost { time, limit, bytes }.is_slow());
}

#[test]
fn one_probe_after_the_pause_closes_it_or_doubles_the_pause() {
    let breaker = breaker();
    opened(&breaker);
    assert_eq!(works(&breaker, 9.9), None);
    assert_eq!(hangs(&breaker, 10.0), Some("probe"));
    // Twice as long from the end of the probe.
    assert_eq!(works(&breaker, 30.9), None);
    assert_eq!(works(&breaker, 31.0), Some("probe"));
    assert_eq!(works(&breaker, 31.0), Some("request"));
    assert!(breaker.is_closed());
}

#[test]
fn the_pause_is_bounded() {
    let breaker = breaker();
    opened(&breaker);
    let mut now = 0.0;
    for _ in 0..20 {
        now += MAX_PAUSE.as_secs_f64();
        assert_eq!(fails(&breaker, now), Some("probe"));
        now += 1.0;
    }
}

#[test]
fn while_a_probe_is_on_its_way_nobody_else_asks() {
    let breaker = breaker();
    opened(&breaker);
    let probe = breaker.acquire(at(10.0)).unwrap();
    assert!(breaker.acquire(at(10.0)).is_none());
    // It is given up: the next one asks instead.
    drop(probe);
    assert_eq!(works(&breaker, 10.1), Some("probe"));
}

#[test]
fn requests_that_fail_side_by_side_are_one_failure() {
    let breaker = breaker();
    for round in [0.0, 2.0] {
        assert!(breaker.is_closed());
        let permits: Vec<_> = (0..3)
            .map(|_| breaker.acquire(at(round)).unwrap())
            .collect();
        for permit in permits {
            permit.report(Health::Failed, cost(LIMIT), at(round + 1.0));
        }
    }
    assert!(!breaker.is_closed());
}

#[test]
fn a_collector_that_asks_to_be_left_alone_is() {
    let breaker = breaker();
    let away = Health::RetryAfter(Duration::from_secs(3));
    assert!(request(&breaker, 0.0, away, Duration::ZERO).is_some());
    assert_eq!(works(&breaker, 2.9), None);
    assert_eq!(works(&breaker, 3.0), Some("probe"));
}

#[test]
fn no_time_at_all_is_not_the_collectors_fault() {
    let breaker = breaker();
    for second in 0..20 {
        let permit = breaker.acquire(at(second.into())).unwrap();
        let time = MIN_CONCLUSIVE_TIME / 2;
        let cost = Cost {
            time,
            limit: time,
            bytes: 1000,
        };
        permit.report(Health::Failed, cost, at(second.into()) + time);
    }
    assert!(breaker.is_closed());
}

#[test]
fn a_clock_that_is_set_back_ends_the_pause() {
    let breaker = breaker();
    opened(&breaker);
    assert_eq!(works(&breaker, -100_000.0), Some("probe"));
}

#[test]
fn a_clock_that_is_set_back_makes_no_failure_one_of_before() {
    let breaker = breaker();
    assert_eq!(hangs(&breaker, 3600.0), Some("request"));
    assert_eq!(hangs(&breaker, 0.0), Some("request"));
    assert_eq!(hangs(&breaker, 2.0), None);
}

#[test]
fn to_be_asked_again_at_once_is_a_failure_like_others() {
    let breaker = breaker();
    let again = || {
        request(
            &breaker,
            0.0,
            Health::RetryAfter(Duration::ZERO),
            Duration::ZERO,
        )
    };
    let asked = (0..100).filter_map(|_| again());
    assert_eq!(asked.count(), 5);
}

#[test]
fn after_a_short_pause_that_was_asked_for_the_next_ones_are_as_long_as_ever() {
    let breaker = breaker();
    request(
        &breaker,
        0.0,
        Health::RetryAfter(Duration::from_secs(1)),
        Duration::ZERO,
    );
    assert_eq!(fails(&breaker, 1.0), Some("probe"));
    assert_eq!(works(&breaker, 20.9), None);
    assert_eq!(works(&breaker, 21.1), Some("probe"));
}

#[test]
fn a_request_from_before_does_not_shorten_the_pause() {
    let breaker = breaker();
    let late = breaker.acquire(at(-1.0)).unwrap();
    opened(&breaker);
    late.report(
        Health::RetryAfter(Duration::from_secs(1)),
        cost(Duration::ZERO),
        at(0.5),
    );
    assert_eq!(works(&breaker, 9.9), None);
    assert_eq!(works(&breaker, 10.1), Some("probe"));
}

#[test]
fn a_quick_answer_within_little_time_is_none_to_complain_of() {
    let breaker = breaker();
    for second in 0..10 {
        let permit = breaker.acquire(at(second.into())).unwrap();
        let cost = Cost {
            time: Duration::from_millis(60),
            limit: Duration::from_millis(110),
            bytes: 1000,
        };
        permit.report(Health::Accepted, cost, at(second.into()));
    }
    assert!(breaker.is_closed());
}
