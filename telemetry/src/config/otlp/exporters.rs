//! Reads `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER` and `OTEL_LOGS_EXPORTER`.

use super::super::reader::Reader;

const FORM: &str = "a list of otlp and console, or none";

/// The exporters of one signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exporters {
    pub(super) otlp: bool,
    pub(super) console: bool,
}

/// Reads the list; `None` if the variable is unset. Unknown members are ignored, and if all are
/// unknown, the variable counts as unset (OpenTelemetry specification, "Enum": warn, and ignore the
/// setting).
pub(super) fn read(reader: &mut Reader<'_>, name: &'static str) -> Option<Exporters> {
    let text = reader.text(name)?;
    let members = text.split(',').map(str::trim);
    let members: Vec<&str> = members.filter(|member| !member.is_empty()).collect();
    let has = |known: &str| {
        let mut members = members.iter();
        members.any(|member| member.eq_ignore_ascii_case(known))
    };
    let (otlp, console, none) = (has("otlp"), has("console"), has("none"));
    let is_known = otlp || console || none;
    let consequence = match is_known {
        true => "it is left out",
        false => "the default is used",
    };
    let known = ["otlp", "console", "none"];
    for member in &members {
        if !known.iter().any(|known| member.eq_ignore_ascii_case(known)) {
            reader.problem(name, member, FORM, consequence);
        }
    }
    // The value has only commas.
    if members.is_empty() {
        reader.problem(name, &text, FORM, consequence);
    }
    // A list that names an exporter requests an export, even beside `none`.
    if none && (otlp || console) {
        reader.problem(name, &text, FORM, "none is left out");
    }
    is_known.then_some(Exporters { otlp, console })
}
