//! `OTEL_TRACES_SAMPLER` and its argument.

use std::fmt;

use opentelemetry_sdk::trace::{Sampler, ShouldSample};

use super::reader::VariableReader;

/// A sampler and its standard name.
#[derive(Debug, Clone)]
pub(crate) struct SamplerChoice {
    /// The value of `OTEL_TRACES_SAMPLER`, or `program` for a sampler that the program provides.
    pub(crate) name: &'static str,
    /// The value of `OTEL_TRACES_SAMPLER_ARG` if the sampler has an argument.
    ratio: Option<f64>,
    pub(crate) sampler: Box<dyn ShouldSample>,
}

/// Name and argument, as in `always_on` or `traceidratio(0.25)`.
impl fmt::Display for SamplerChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)?;
        match self.ratio {
            Some(ratio) => write!(formatter, "({ratio})"),
            None => Ok(()),
        }
    }
}

const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

pub(super) fn read(reader: &mut VariableReader<'_>) -> SamplerChoice {
    let form = "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio";
    let by_name = |name: &str| {
        let names = [
            "always_on",
            "always_off",
            "traceidratio",
            "parentbased_always_on",
            "parentbased_always_off",
            "parentbased_traceidratio",
        ];
        names
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(name))
    };
    let name = reader
        .parse("OTEL_TRACES_SAMPLER", form, by_name)
        .unwrap_or("parentbased_always_on");
    let ratio = name.ends_with("traceidratio").then(|| ratio(reader));
    let root = match ratio {
        Some(ratio) => Sampler::TraceIdRatioBased(ratio),
        None if name.ends_with("always_off") => Sampler::AlwaysOff,
        None => Sampler::AlwaysOn,
    };
    let sampler = if name.starts_with("parentbased_") {
        Sampler::ParentBased(Box::new(root))
    } else {
        root
    };
    SamplerChoice {
        name,
        ratio,
        sampler: Box::new(sampler),
    }
}

impl SamplerChoice {
    /// Returns the choice of a sampler that the program provides.
    pub(crate) fn program(sampler: Box<dyn ShouldSample>) -> Self {
        Self {
            name: "program",
            ratio: None,
            sampler,
        }
    }
}

fn ratio(reader: &mut VariableReader<'_>) -> f64 {
    let parse = |text: &str| {
        text.parse()
            .ok()
            .filter(|ratio| (0.0..=1.0).contains(ratio))
    };
    reader
        .parse(ARGUMENT, "a number from 0.0 to 1.0", parse)
        .unwrap_or(1.0)
}
