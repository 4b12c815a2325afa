//! The live progress on standard error.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::terminal::print_line;
use crate::demo::format_duration;
use crate::load::{Generator, GeneratorProgress, Interval, Profile};

/// Interval of updates on a terminal.
const UPDATE_INTERVAL: Duration = Duration::from_millis(250);
/// Interval of the lines where standard error is not a terminal, such as in CI.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Layout of the bar: the part of the run that is over, and the figures.
const TEMPLATE: &str = "{bar:10} {wide_msg}";

/// Progress as a bar on a terminal, or else as lines.
#[derive(Debug)]
pub(super) struct LiveProgress {
    duration: Duration,
    bar: Option<ProgressBar>,
    /// Number of completed intervals that were printed. `None` if the profile prints none.
    printed_intervals: Option<usize>,
}

impl LiveProgress {
    pub(super) fn new(profile: Profile, duration: Duration) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(milliseconds(duration));
            match ProgressStyle::with_template(TEMPLATE) {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Self {
            duration,
            bar,
            printed_intervals: (profile == Profile::Soak).then_some(0),
        }
    }

    /// Returns the interval in which [`show`](Self::show) should be called.
    pub(super) fn interval(&self) -> Duration {
        if self.bar.is_some() {
            UPDATE_INTERVAL
        } else {
            LINE_INTERVAL
        }
    }

    pub(super) fn show(&mut self, generator: &Generator) {
        self.print_intervals(generator);
        let progress = generator.progress();
        if let Some(bar) = &self.bar {
            bar.set_position(milliseconds(progress.elapsed.min(self.duration)));
            bar.set_message(format_progress(&progress, self.duration));
        } else if self.printed_intervals.is_none() && progress.finished > 0 {
            print_line(format_args!(
                "{}",
                format_progress(&progress, self.duration)
            ));
        }
    }

    /// Removes the bar.
    pub(super) fn finish(&mut self, generator: &Generator) {
        self.print_intervals(generator);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Prints the intervals that were completed since the last call.
    fn print_intervals(&mut self, generator: &Generator) {
        let Some(printed) = &mut self.printed_intervals else {
            return;
        };
        for interval in generator.intervals_from(*printed) {
            *printed += 1;
            let line = format_interval(&interval);
            match &self.bar {
                Some(bar) => bar.println(line),
                None => print_line(format_args!("{line}")),
            }
        }
    }
}

fn format_progress(progress: &GeneratorProgress, duration: Duration) -> String {
    let GeneratorProgress {
        elapsed,
        started,
        finished,
        accepted,
        failed,
        p99,
    } = progress;
    let seconds = elapsed.as_secs();
    let rate = *finished as f64 / elapsed.as_secs_f64().max(0.001);
    let outstanding = started.saturating_sub(*finished);
    format!(
        "{seconds}/{} s  {rate:.0}/s  {accepted} accepted  {failed} failed  {outstanding} outstanding  p99 {}",
        duration.as_secs(),
        format_duration(p99.as_secs_f64()),
    )
}

fn format_interval(interval: &Interval) -> String {
    let Interval {
        start,
        length,
        finished,
        failed,
        p50,
        p99,
        max,
        ..
    } = interval;
    let rate = *finished as f64 / length.as_secs_f64();
    format!(
        "{:>6.0} s  {rate:.1}/s  {failed} failed  p50 {}  p99 {}  max {}",
        (*start + *length).as_secs_f64(),
        format_duration(p50.as_secs_f64()),
        format_duration(p99.as_secs_f64()),
        format_duration(max.as_secs_f64()),
    )
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
