use super::*;

const PAUSE: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(1);

fn breaker() -> Breaker {
    Breaker::new("collector:4318".to_owned(), PAUSE)
}

fn time_at(seconds: f64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs_f64(1_000_000.0 + seconds)
}

fn cost(time: Duration) -> Cost {
    Cost {
        time,
        limit: LIMIT,
        bytes: 1000,
    }
}

/// Sends a request at this second, which ends after `time`. Returns its kind, or `None` if the
/// breaker did not permit it.
fn send_request(
    breaker: &Breaker,
    seconds: f64,
    health: Health,
    time: Duration,
) -> Option<&'static str> {
    let permit = breaker.acquire(time_at(seconds))?;
    let kind = if permit.is_probe() {
        "probe"
    } else {
        "request"
    };
    permit.report(health, cost(time), time_at(seconds) + time);
    Some(kind)
}

fn fail(breaker: &Breaker, seconds: f64) -> Option<&'static str> {
    send_request(breaker, seconds, Health::Failed, Duration::from_micros(100))
}

fn succeed(breaker: &Breaker, seconds: f64) -> Option<&'static str> {
    send_request(
        breaker,
        seconds,
        Health::Accepted,
        Duration::from_micros(100),
    )
}

fn time_out(breaker: &Breaker, seconds: f64) -> Option<&'static str> {
    send_request(breaker, seconds, Health::Failed, LIMIT)
}

/// Opens the breaker with two timeouts. The pause begins at second 0.
fn open(breaker: &Breaker) {
    for second in [-1.0, 0.0] {
        send_request(breaker, second - 1.0, Health::Failed, LIMIT);
    }
    assert!(breaker.status().is_open);
}

#[test]
fn the_breaker_opens_after_two_timeouts_or_five_immediate_failures() {
    let hanging = breaker();
    let (mut now, mut waited) = (0.0, 0);
    for _ in 0..100 {
        if time_out(&hanging, now).is_some() {
            now += LIMIT.as_secs_f64();
            waited += 1;
        }
        now += 0.01;
    }
    assert_eq!(waited, 2);
    let refusing = breaker();
    let tried = (0..100).filter_map(|at| fail(&refusing, f64::from(at) / 50.0));
    assert_eq!(tried.count(), 5);
}

#[test]
fn a_success_resets_the_failures_before_it() {
    let breaker = breaker();
    for second in 0..100 {
        let outcome = if second % 5 == 4 { succeed } else { fail };
        assert_eq!(outcome(&breaker, second.into()), Some("request"));
    }
}

#[test]
fn repeated_slow_responses_open_the_breaker() {
    let breaker = breaker();
    let slow_after = |seconds| send_request(&breaker, seconds, Health::Accepted, SLOW);
    assert_eq!(slow_after(0.0), Some("request"));
    assert_eq!(slow_after(1.0), Some("request"));
    assert_eq!(slow_after(2.0), None);
}

#[test]
fn a_large_request_may_take_longer() {
    let time = Duration::from_millis(1500);
    let (limit, bytes) = (Duration::from_secs(10), 3 * 1024 * 1024);
    assert!(!Cost { time, limit, bytes }.is_slow());
    let bytes = 1000;
    assert!(Cost { time, limit, bytes }.is_slow());
}

#[test]
fn a_probe_after_the_pause_closes_the_breaker_or_doubles_the_pause() {
    let breaker = breaker();
    open(&breaker);
    assert_eq!(succeed(&breaker, 9.9), None);
    assert_eq!(time_out(&breaker, 10.0), Some("probe"));
    // The pause is twice as long, and begins at the end of the probe.
    assert_eq!(succeed(&breaker, 30.9), None);
    assert_eq!(succeed(&breaker, 31.0), Some("probe"));
    assert_eq!(succeed(&breaker, 31.0), Some("request"));
    assert!(!breaker.status().is_open);
}

#[test]
fn the_pause_is_bounded() {
    let breaker = breaker();
    open(&breaker);
    let mut now = 0.0;
    for _ in 0..20 {
        now += MAX_PAUSE.as_secs_f64();
        assert_eq!(fail(&breaker, now), Some("probe"));
        now += 1.0;
    }
}

#[test]
fn no_other_request_is_permitted_while_a_probe_is_in_flight() {
    let breaker = breaker();
    open(&breaker);
    let probe = breaker.acquire(time_at(10.0)).unwrap();
    assert!(breaker.acquire(time_at(10.0)).is_none());
    // The probe is cancelled, so the next request is the probe.
    drop(probe);
    assert_eq!(succeed(&breaker, 10.1), Some("probe"));
}

#[test]
fn concurrent_failures_count_as_one() {
    let breaker = breaker();
    for round in [0.0, 2.0] {
        assert!(!breaker.status().is_open);
        let permits: Vec<_> = (0..3)
            .map(|_| breaker.acquire(time_at(round)).unwrap())
            .collect();
        for permit in permits {
            permit.report(Health::Failed, cost(LIMIT), time_at(round + 1.0));
        }
    }
    assert!(breaker.status().is_open);
}

#[test]
fn a_retry_after_opens_the_breaker_for_that_time() {
    let breaker = breaker();
    let retry_after = Health::RetryAfter(Duration::from_secs(3));
    assert!(send_request(&breaker, 0.0, retry_after, Duration::ZERO).is_some());
    assert_eq!(succeed(&breaker, 2.9), None);
    assert_eq!(succeed(&breaker, 3.0), Some("probe"));
}

#[test]
fn a_failure_within_too_short_a_limit_does_not_count() {
    let breaker = breaker();
    for second in 0..20 {
        let permit = breaker.acquire(time_at(second.into())).unwrap();
        let time = MIN_CONCLUSIVE_TIME / 2;
        let cost = Cost {
            time,
            limit: time,
            bytes: 1000,
        };
        permit.report(Health::Failed, cost, time_at(second.into()) + time);
    }
    assert!(!breaker.status().is_open);
}

#[test]
fn setting_the_clock_back_ends_the_pause() {
    let breaker = breaker();
    open(&breaker);
    assert_eq!(succeed(&breaker, -100_000.0), Some("probe"));
}

#[test]
fn failures_are_counted_after_the_clock_is_set_back() {
    let breaker = breaker();
    assert_eq!(time_out(&breaker, 3600.0), Some("request"));
    assert_eq!(time_out(&breaker, 0.0), Some("request"));
    assert_eq!(time_out(&breaker, 2.0), None);
}

#[test]
fn a_retry_after_of_zero_counts_as_a_failure() {
    let breaker = breaker();
    let retry = || {
        send_request(
            &breaker,
            0.0,
            Health::RetryAfter(Duration::ZERO),
            Duration::ZERO,
        )
    };
    let permitted = (0..100).filter_map(|_| retry());
    assert_eq!(permitted.count(), 5);
}

#[test]
fn a_short_retry_after_does_not_shorten_later_pauses() {
    let breaker = breaker();
    send_request(
        &breaker,
        0.0,
        Health::RetryAfter(Duration::from_secs(1)),
        Duration::ZERO,
    );
    assert_eq!(fail(&breaker, 1.0), Some("probe"));
    assert_eq!(succeed(&breaker, 20.9), None);
    assert_eq!(succeed(&breaker, 21.1), Some("probe"));
}

#[test]
fn a_request_from_before_the_pause_does_not_shorten_it() {
    let breaker = breaker();
    let late = breaker.acquire(time_at(-1.0)).unwrap();
    open(&breaker);
    late.report(
        Health::RetryAfter(Duration::from_secs(1)),
        cost(Duration::ZERO),
        time_at(0.5),
    );
    assert_eq!(succeed(&breaker, 9.9), None);
    assert_eq!(succeed(&breaker, 10.1), Some("probe"));
}

#[test]
fn a_fast_response_within_a_short_limit_is_not_slow() {
    let breaker = breaker();
    for second in 0..10 {
        let permit = breaker.acquire(time_at(second.into())).unwrap();
        let cost = Cost {
            time: Duration::from_millis(60),
            limit: Duration::from_millis(110),
            bytes: 1000,
        };
        permit.report(Health::Accepted, cost, time_at(second.into()));
    }
    assert!(!breaker.status().is_open);
}

#[test]
fn an_opening_is_counted_once_until_the_breaker_has_closed() {
    let breaker = breaker();
    let status = |is_open, openings| BreakerStatus { is_open, openings };
    assert_eq!(breaker.status(), status(false, 0));
    open(&breaker);
    assert_eq!(breaker.status(), status(true, 1));
    assert_eq!(fail(&breaker, 11.0), Some("probe"));
    assert_eq!(breaker.status(), status(true, 1));
    assert_eq!(succeed(&breaker, 40.0), Some("probe"));
    assert_eq!(breaker.status(), status(false, 1));
    let asked = Health::RetryAfter(Duration::from_secs(5));
    send_request(&breaker, 50.0, asked, Duration::ZERO);
    assert_eq!(breaker.status(), status(true, 2));
}
