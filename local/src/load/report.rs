//! The summary of a run.

use std::fmt;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::check::{CheckOutcome, CheckSource, CheckedCounts};
use super::drift::Drift;
use super::generator::Pace;
use super::json;
use super::measurements::{Latencies, Measurements};
use super::schedule::Profile;
use super::spans::SpanCounts;
use crate::demo::{format_duration, pluralise};

const HEADING: Style = Style::new().bold();
const SUCCESS: Style = AnsiColor::Green.on_default();
const FAILURE: Style = AnsiColor::Red.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default();

/// Percentiles that the summary and the JSON contain.
pub(super) const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

/// Result of a run.
#[derive(Debug)]
pub(crate) struct LoadReport {
    pub(crate) url: String,
    pub(crate) profile: Profile,
    pub(crate) pace: Pace,
    /// The configured rate, if the loop is open.
    pub(crate) rate: Option<f64>,
    /// The configured duration.
    pub(crate) duration: Duration,
    pub(crate) request_timeout: Duration,
    /// True if the run had none of the profile's slow, failing and poison customers, because the
    /// function may have no demonstration faults.
    pub(crate) left_out_faults: bool,
    /// Id of the run, which the ids of its customers contain.
    pub(crate) run: u64,
    pub(crate) was_interrupted: bool,
    pub(crate) measurements: Measurements,
    pub(crate) check: CheckOutcome,
    pub(crate) spans: Option<SpanCounts>,
}

impl LoadReport {
    /// Returns true if no request failed and no accepted message is known to be missing.
    pub(crate) fn passed(&self) -> bool {
        self.measurements.failed() == 0 && self.check.passed()
    }

    /// Returns the report as one line of JSON.
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&json::Report::new(self))
    }

    /// Returns the report as a JSON value.
    pub(super) fn to_value(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(json::Report::new(self))
    }

    /// Returns the time from the start of the run to the last response.
    pub(super) fn elapsed(&self) -> Duration {
        let last = self.measurements.intervals.last();
        last.map_or(Duration::ZERO, |interval| interval.start + interval.length)
    }

    /// Returns the number of responses and errors per second.
    pub(super) fn throughput(&self) -> f64 {
        let elapsed = self.elapsed().as_secs_f64();
        if elapsed > 0.0 {
            self.measurements.finished as f64 / elapsed
        } else {
            0.0
        }
    }

    pub(super) fn drift(&self) -> Option<Drift> {
        if self.profile == Profile::Soak {
            Drift::new(&self.measurements.intervals)
        } else {
            None
        }
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_heading(formatter)?;
        self.write_requests(formatter)?;
        self.write_latencies(formatter)?;
        self.write_errors(formatter)?;
        self.write_spans(formatter)?;
        self.write_drift(formatter)?;
        self.write_check(formatter)
    }
}

impl LoadReport {
    fn write_heading(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{HEADING}Load of {}{HEADING:#}", self.url)?;
        let pace = match (&self.pace, self.rate) {
            (Pace::Closed { connections, .. }, _) => {
                format!("{} (closed loop)", count(*connections as u64, "connection"))
            }
            (Pace::Open { .. }, rate) => {
                format!("{} requests/s (open loop)", rate.unwrap_or_default())
            }
        };
        let profile = self.profile.name();
        let seconds = self.duration.as_secs_f64();
        row(
            formatter,
            "profile",
            &format!("{profile}, {pace}, for {seconds} s"),
        )?;
        if self.was_interrupted {
            let elapsed = format!("interrupted after {:.1} s", self.elapsed().as_secs_f64());
            styled_row(formatter, WARNING, "", &elapsed)?;
        }
        if self.left_out_faults {
            let text = "no slow, failing and poison customers: --faults-enabled is not given";
            styled_row(formatter, WARNING, "", text)?;
        }
        Ok(())
    }

    fn write_requests(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measurements {
            started,
            not_started,
            finished,
            accepted,
            rejected_invalid,
            ..
        } = &self.measurements;
        let failed = self.measurements.failed();
        let throughput = self.throughput();
        let requests = format!("{started} sent, {finished} finished ({throughput:.1}/s)");
        row(formatter, "requests", &requests)?;
        if *not_started > 0 {
            let text =
                format!("{not_started} more were due, but not started: too many were outstanding");
            styled_row(formatter, WARNING, "", &text)?;
        }
        row(formatter, "accepted", &accepted.to_string())?;
        if *rejected_invalid > 0 {
            let text = format!("{rejected_invalid} invalid ones with 422, as expected");
            row(formatter, "rejected", &text)?;
        }
        let style = if failed > 0 { FAILURE } else { SUCCESS };
        styled_row(formatter, style, "failed", &failed.to_string())
    }

    fn write_latencies(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measurements {
            response_times,
            service_times,
            ..
        } = &self.measurements;
        let names = PERCENTILES.map(|percentile| format!("p{percentile}"));
        write!(formatter, "\n{HEADING}{:<16}", "Latency")?;
        for name in names.iter().map(String::as_str).chain(["max"]) {
            write!(formatter, "{name:>9}")?;
        }
        writeln!(formatter, "{HEADING:#}")?;
        if let Some(latencies) = response_times {
            let name = match self.pace {
                Pace::Open { .. } => "from schedule",
                Pace::Closed { .. } => "corrected",
            };
            latency_row(formatter, name, latencies)?;
        }
        latency_row(formatter, "from send", service_times)
    }

    fn write_errors(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measurements {
            unexpected_statuses,
            errors,
            ..
        } = &self.measurements;
        if unexpected_statuses.is_empty() && errors.is_empty() {
            return Ok(());
        }
        writeln!(formatter, "\n{HEADING}Errors{HEADING:#}")?;
        for (status, number) in unexpected_statuses {
            row(formatter, &format!("status {status}"), &number.to_string())?;
        }
        for (kind, (number, text)) in errors {
            writeln!(formatter, "  {:<19}{number}, e.g. {text}", kind.name())?;
        }
        Ok(())
    }

    fn write_spans(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(SpanCounts {
            exported,
            lost,
            error,
        }) = &self.spans
        else {
            return Ok(());
        };
        writeln!(formatter)?;
        let text = format!("{exported} exported, {lost} lost");
        let style = if *lost > 0 { WARNING } else { SUCCESS };
        styled_row(formatter, style, "spans", &text)?;
        match error {
            Some(error) => row(formatter, "", error),
            None => Ok(()),
        }
    }

    fn write_drift(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(drift) = self.drift() else {
            return Ok(());
        };
        writeln!(formatter, "\n{HEADING}First and last quarter{HEADING:#}")?;
        let seconds = |time: Duration| format_duration(time.as_secs_f64());
        let latency = format!(
            "{} and {}",
            seconds(drift.first_p99),
            seconds(drift.last_p99)
        );
        drift_row(formatter, "p99", &latency, drift.has_latency_drift())?;
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        let failed = format!(
            "{} and {}",
            percent(drift.first_failed),
            percent(drift.last_failed)
        );
        drift_row(formatter, "failed", &failed, drift.has_failure_drift())
    }

    fn write_check(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "\n{HEADING}Accepted messages{HEADING:#}")?;
        let result = match &self.check {
            CheckOutcome::Unknown(reason) => {
                let text = format!("unknown whether they were processed: {reason}");
                return styled_row(formatter, WARNING, "check", &text);
            }
            CheckOutcome::Failed(reason) => {
                let text = format!("the check failed: {reason}");
                return styled_row(formatter, FAILURE, "check", &text);
            }
            CheckOutcome::Known(result) => result,
        };
        self.write_result(formatter, result)?;
        let unanswered = self.measurements.unanswered();
        if unanswered > 0 {
            let text = format!(
                "{} without a response may have been accepted too",
                count(unanswered, "request")
            );
            row(formatter, "", &text)?;
        }
        Ok(())
    }

    fn write_result(
        &self,
        formatter: &mut fmt::Formatter<'_>,
        result: &CheckedCounts,
    ) -> fmt::Result {
        let CheckedCounts {
            source,
            processed,
            dead_lettered,
            queued,
            unverified_poison,
            unaccounted,
        } = result;
        let accepted = self.measurements.accepted;
        let poison = self.measurements.accepted_poison;
        match dead_lettered {
            Some(number) => {
                row(formatter, "processed", &processed.to_string())?;
                let text = format!("{number} ({} accepted)", count(poison, "poison customer"));
                let style = if *number > poison {
                    WARNING
                } else {
                    Style::new()
                };
                styled_row(formatter, style, "dead-lettered", &text)?;
            }
            None if *source == CheckSource::Queues => {
                row(formatter, "left the queue", &processed.to_string())?;
            }
            None => row(formatter, "processed", &processed.to_string())?,
        }
        if let Some(queued @ 1..) = queued {
            row(formatter, "in the queue", &queued.to_string())?;
        }
        if *unverified_poison > 0 {
            let text = format!(
                "{unverified_poison} of {}: --dead-letter-queue-url is not given",
                count(poison, "poison customer")
            );
            styled_row(formatter, WARNING, "unverified", &text)?;
        }
        let source = describe_source(result);
        if result.is_complete() && *unverified_poison > 0 {
            let others = accepted - unverified_poison;
            let text = format!("the other {others} were processed, {source}");
            styled_row(formatter, SUCCESS, "check", &text)
        } else if result.is_complete() {
            let text = format!("all {accepted} were processed or dead-lettered, {source}");
            styled_row(formatter, SUCCESS, "check", &text)
        } else {
            let text = format!(
                "{unaccounted} of {accepted} were neither processed nor dead-lettered, {source}"
            );
            styled_row(formatter, FAILURE, "check", &text)
        }
    }
}

fn describe_source(counts: &CheckedCounts) -> &'static str {
    match counts.source {
        CheckSource::OwnStack => "according to the local stack",
        CheckSource::Queues => "according to the approximate lengths of the queues",
        #[cfg(feature = "dynamodb")]
        CheckSource::Table if counts.queued.or(counts.dead_lettered).is_some() => {
            "according to the table and the approximate lengths of the queues"
        }
        #[cfg(feature = "dynamodb")]
        CheckSource::Table => "according to the table",
    }
}

fn latency_row(
    formatter: &mut fmt::Formatter<'_>,
    name: &str,
    latencies: &Latencies,
) -> fmt::Result {
    write!(formatter, "  {name:<14}")?;
    let percentiles = PERCENTILES.map(|percentile| latencies.percentile(percentile));
    for latency in percentiles.into_iter().chain([latencies.max()]) {
        let latency = format_duration(latency.as_secs_f64());
        write!(formatter, "{latency:>9}")?;
    }
    writeln!(formatter)
}

fn drift_row(
    formatter: &mut fmt::Formatter<'_>,
    name: &str,
    text: &str,
    has_drift: bool,
) -> fmt::Result {
    if has_drift {
        styled_row(formatter, FAILURE, name, &format!("{text}: drift"))
    } else {
        styled_row(formatter, SUCCESS, name, &format!("{text}: no drift"))
    }
}

fn row(formatter: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    styled_row(formatter, Style::new(), name, text)
}

fn styled_row(
    formatter: &mut fmt::Formatter<'_>,
    style: Style,
    name: &str,
    text: &str,
) -> fmt::Result {
    writeln!(formatter, "  {name:<15}{style}{text}{style:#}")
}

fn count(number: u64, noun: &str) -> String {
    pluralise(number.try_into().unwrap_or(i64::MAX), noun)
}

#[cfg(test)]
mod tests {
    use super::super::measurements::Interval;
    use super::*;

    /// Returns the report of a soak of ten seconds whose latency has these values in milliseconds.
    fn soak(latencies: [u64; 10]) -> LoadReport {
        let mut measurements = Measurements::new(true, None, Duration::from_secs(1));
        let interval = |(second, latency): (u64, u64)| Interval {
            start: Duration::from_secs(second),
            length: Duration::from_secs(1),
            finished: 20,
            p99: Duration::from_millis(latency),
            ..Interval::default()
        };
        measurements.intervals = (0..).zip(latencies).map(interval).collect();
        measurements.finished = 200;
        LoadReport {
            url: "http://127.0.0.1/".to_owned(),
            profile: Profile::Soak,
            pace: Pace::Closed {
                connections: 1,
                expected_interval: None,
            },
            rate: None,
            duration: Duration::from_secs(10),
            request_timeout: Duration::from_secs(1),
            left_out_faults: false,
            run: 0,
            was_interrupted: false,
            measurements,
            check: CheckOutcome::Unknown("none".to_owned()),
            spans: None,
        }
    }

    #[test]
    fn a_soak_whose_latency_grows_is_reported() {
        let report = soak([1, 1, 1, 1, 1, 9, 9, 9, 9, 9]);
        let text = anstream::adapter::strip_str(&report.to_string()).to_string();
        assert!(
            text.contains("p99            1.00 ms and 9.00 ms: drift"),
            "{text}"
        );
        assert!(text.contains("0.00 % and 0.00 %: no drift"), "{text}");
        assert!(text.contains("200 finished (20.0/s)"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
        assert_eq!(json["drift"]["latency"], true);
        assert_eq!(json["drift"]["failures"], false);
        assert_eq!(json["drift"]["last_p99"], 0.009);
    }

    #[test]
    fn only_a_soak_is_compared() {
        let report = LoadReport {
            profile: Profile::Steady,
            ..soak([1; 10])
        };
        assert_eq!(report.drift(), None);
    }
}
