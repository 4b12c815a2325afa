//! Logs as they come from where they are kept.

use serde_json::{Value, json};

/// One form of a log.
pub(super) struct Wrapping {
    pub(super) name: &'static str,
    pub(super) wrap: fn(&[String]) -> Vec<u8>,
}

macro_rules! wrappings {
    ($($name:ident),* $(,)?) => {
        pub(super) const WRAPPINGS: &[Wrapping] =
            &[$(Wrapping { name: stringify!($name), wrap: $name }),*];
    };
}

wrappings![
    plain,
    with_carriage_returns,
    aws_logs_tail,
    console_export,
    filter_log_events,
    filter_log_events_on_one_line,
    filter_log_events_as_text,
    lambda_json,
    fluent_bit,
    docker,
    cri,
    json_in_json,
    insights_csv,
    insights_json,
    json_in_csv,
    with_members_in_another_order,
    with_members_on_lines_of_their_own,
    with_every_special_character_as_a_number,
];

/// Each line as a text, between lines of others.
fn each(lines: &[String], mut wrap: impl FnMut(&str) -> String) -> Vec<u8> {
    let mut out = wrap("START RequestId: 00000000-0000-0000-0000-000000000000 {");
    for line in lines {
        out.push_str(&wrap(line));
    }
    out.push_str(&wrap(
        "END RequestId: 00000000-0000-0000-0000-000000000000 \"}",
    ));
    out.into_bytes()
}

fn plain(lines: &[String]) -> Vec<u8> {
    each(lines, |line| format!("{line}\n"))
}

fn with_carriage_returns(lines: &[String]) -> Vec<u8> {
    let log = each(lines, |line| format!("{line}\r\n"));
    ["\u{feff}".as_bytes(), &log].concat()
}

fn aws_logs_tail(lines: &[String]) -> Vec<u8> {
    each(lines, |line| {
        format!("2026-11-21T17:00:00.123000+00:00 2026/11/21/[$LATEST]0123456789abcdef {line}\n")
    })
}

fn console_export(lines: &[String]) -> Vec<u8> {
    each(lines, |line| format!("2026-11-21T17:00:00.123Z\n{line}\n"))
}

fn events(lines: &[String]) -> Value {
    let event = |line| {
        json!({
            "logStreamName": "2026/11/21/[$LATEST]0123456789abcdef",
            "timestamp": 1_790_000_000_000_u64,
            "message": format!("{line}\n"),
            "eventId": "1",
        })
    };
    json!({ "events": lines.iter().map(event).collect::<Vec<_>>(), "searchedLogStreams": [] })
}

fn filter_log_events(lines: &[String]) -> Vec<u8> {
    serde_json::to_vec_pretty(&events(lines)).unwrap()
}

fn filter_log_events_on_one_line(lines: &[String]) -> Vec<u8> {
    serde_json::to_vec(&events(lines)).unwrap()
}

fn filter_log_events_as_text(lines: &[String]) -> Vec<u8> {
    each(lines, |line| {
        format!("EVENTS\t1\t1790000000000\tstream\t{line}\t1790000000000\n")
    })
}

fn lambda_json(lines: &[String]) -> Vec<u8> {
    let record = |line: &str| json!({ "timestamp": "2026-11-21T17:00:00Z", "level": "INFO", "message": line });
    each(lines, |line| format!("{}\n", record(line)))
}

fn fluent_bit(lines: &[String]) -> Vec<u8> {
    each(lines, |line| {
        let record = json!({ "log": format!("{line}\n"), "stream": "stdout", "time": "now" });
        format!("[0] app: [[1790000000.0, {{}}], {record}]\n")
    })
}

/// In pieces of 16 KiB, of which only the last one has the line break.
fn docker(lines: &[String]) -> Vec<u8> {
    each(lines, |line| {
        let pieces = pieces(&format!("{line}\n"));
        let record = |log: String| json!({ "log": log, "stream": "stdout" });
        // The members in Docker's order.
        let records = pieces.into_iter().map(record).map(|record| {
            format!(
                "{{\"log\":{},\"stream\":\"stdout\",\"time\":\"T\"}}\n",
                record["log"]
            )
        });
        records.collect()
    })
}

fn cri(lines: &[String]) -> Vec<u8> {
    each(lines, |line| {
        let mut pieces = pieces(line);
        let last = pieces.pop().unwrap_or_default();
        let before = pieces
            .iter()
            .map(|piece| format!("2026-11-21T17:00:00Z stdout P {piece}\n"));
        let between = "2026-11-21T17:00:00Z stderr F something else\n";
        let before: Vec<String> = before.collect();
        format!(
            "{}2026-11-21T17:00:00Z stdout F {last}\n",
            before.join(between)
        )
    })
}

fn pieces(line: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for character in line.chars() {
        let piece = pieces.last_mut().unwrap();
        piece.push(character);
        // A character of several bytes is cut apart in truth; then it is lost.
        if piece.len() >= 16 * 1024 {
            pieces.push(String::new());
        }
    }
    pieces
}

fn json_in_json(lines: &[String]) -> Vec<u8> {
    each(lines, |line| {
        let record = json!({ "log": line }).to_string();
        format!("{}\n", json!({ "message": record }))
    })
}

fn field(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn insights_csv(lines: &[String]) -> Vec<u8> {
    let log = each(lines, |line| {
        format!("2026-11-21 17:00:00.123,{},1\n", field(line))
    });
    [b"@timestamp,@message,@ptr\n", &*log].concat()
}

fn insights_json(lines: &[String]) -> Vec<u8> {
    let record = |line: &String| {
        let message: Value = serde_json::from_str(line).unwrap();
        json!({ "@timestamp": "2026-11-21 17:00:00.123", "@message": message })
    };
    serde_json::to_vec_pretty(&lines.iter().map(record).collect::<Vec<_>>()).unwrap()
}

fn json_in_csv(lines: &[String]) -> Vec<u8> {
    each(lines, |line| {
        format!("1,{},x\n", field(&json!({ "message": line }).to_string()))
    })
}

fn with_members_in_another_order(lines: &[String]) -> Vec<u8> {
    each(lines, |line| match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(members)) => {
            let members = members.iter().rev();
            let members = members.map(|(name, value)| format!("{}: {value}", json!(name)));
            format!("{{ {} }}\n", members.collect::<Vec<_>>().join(" , "))
        }
        _ => format!("{line}\n"),
    })
}

fn with_members_on_lines_of_their_own(lines: &[String]) -> Vec<u8> {
    each(lines, |line| match serde_json::from_str::<Value>(line) {
        Ok(value) => format!("{value:#}\n"),
        Err(_) => format!("{line}\n"),
    })
}

/// As Python's and Go's writers do with some.
fn with_every_special_character_as_a_number(lines: &[String]) -> Vec<u8> {
    each(lines, |line| {
        let text = json!(line).to_string();
        let ascii = text.chars().map(|character| match character {
            ' '..='~' if !"<>&".contains(character) => character.to_string(),
            other => {
                let mut units = [0; 2];
                let units = other.encode_utf16(&mut units);
                units.iter().map(|unit| format!("\\u{unit:04x}")).collect()
            }
        });
        format!("{{\"message\": {}}}\n", ascii.collect::<String>())
    })
}
