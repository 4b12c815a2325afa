//! Forms of logs in which spill lines must be found.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

/// A form of a log.
pub(super) struct LogForm {
    pub(super) name: &'static str,
    pub(super) wrap: fn(&[String]) -> Vec<u8>,
}

macro_rules! log_forms {
    ($($name:ident),* $(,)?) => {
        pub(super) const LOG_FORMS: &[LogForm] =
            &[$(LogForm { name: stringify!($name), wrap: $name }),*];
    };
}

log_forms![
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
    utf_16_with_a_mark,
    utf_16_without_a_mark,
    utf_16_big_endian,
    gzip,
    gzip_in_gzip,
    gzip_members_with_line_breaks,
    gzip_after_text,
    base64_file,
    url_safe_base64,
    url_safe_base64_in_lines,
    base64_before_a_hyphen,
    subscription_event,
    kinesis_event,
    kinesis_get_records,
    firehose_event,
    firehose_without_delimiters,
    yaml_in_double_quotes,
    yaml_in_single_quotes,
    yaml_in_folded_blocks,
    firelens,
    firelens_in_log_events,
    docker_journald,
    cri_by_fluent_bit,
    journald,
    journald_bytes,
    journald_native_bytes,
    awslogs_without_marks,
    awslogs_without_marks_in_log_events,
];

/// Wraps each line, with unrelated lines before and after them.
fn wrap_each(lines: &[String], mut wrap: impl FnMut(&str) -> String) -> Vec<u8> {
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
    wrap_each(lines, |line| format!("{line}\n"))
}

fn with_carriage_returns(lines: &[String]) -> Vec<u8> {
    let log = wrap_each(lines, |line| format!("{line}\r\n"));
    ["\u{feff}".as_bytes(), &log].concat()
}

fn aws_logs_tail(lines: &[String]) -> Vec<u8> {
    wrap_each(lines, |line| {
        format!("2026-11-21T17:00:00.123000+00:00 2026/11/21/[$LATEST]0123456789abcdef {line}\n")
    })
}

fn console_export(lines: &[String]) -> Vec<u8> {
    wrap_each(lines, |line| format!("2026-11-21T17:00:00.123Z\n{line}\n"))
}

fn log_events(lines: &[String]) -> Value {
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
    serde_json::to_vec_pretty(&log_events(lines)).unwrap()
}

fn filter_log_events_on_one_line(lines: &[String]) -> Vec<u8> {
    serde_json::to_vec(&log_events(lines)).unwrap()
}

fn filter_log_events_as_text(lines: &[String]) -> Vec<u8> {
    wrap_each(lines, |line| {
        format!("EVENTS\t1\t1790000000000\tstream\t{line}\t1790000000000\n")
    })
}

fn lambda_json(lines: &[String]) -> Vec<u8> {
    let record = |line: &str| json!({ "timestamp": "2026-11-21T17:00:00Z", "level": "INFO", "message": line });
    wrap_each(lines, |line| format!("{}\n", record(line)))
}

fn fluent_bit(lines: &[String]) -> Vec<u8> {
    wrap_each(lines, |line| {
        let record = json!({ "log": format!("{line}\n"), "stream": "stdout", "time": "now" });
        format!("[0] app: [[1790000000.0, {{}}], {record}]\n")
    })
}

/// Splits lines into pieces of 16 KiB, of which only the last one has the line break.
fn docker(lines: &[String]) -> Vec<u8> {
    wrap_each(lines, |line| {
        let pieces = split_at_characters(&format!("{line}\n"));
        let record = |log: String| json!({ "log": log, "stream": "stdout" });
        // Writes the members in Docker's order.
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
    wrap_each(lines, |line| {
        let mut pieces = split_at_characters(line);
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

fn split_at_characters(line: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for character in line.chars() {
        let piece = pieces.last_mut().unwrap();
        piece.push(character);
        // Docker also splits multi-byte characters, which are then lost. The tests avoid that.
        if piece.len() >= 16 * 1024 {
            pieces.push(String::new());
        }
    }
    pieces
}

fn json_in_json(lines: &[String]) -> Vec<u8> {
    wrap_each(lines, |line| {
        let record = json!({ "log": line }).to_string();
        format!("{}\n", json!({ "message": record }))
    })
}

fn csv_field(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn insights_csv(lines: &[String]) -> Vec<u8> {
    let log = wrap_each(lines, |line| {
        format!("2026-11-21 17:00:00.123,{},1\n", csv_field(line))
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
    wrap_each(lines, |line| {
        format!(
            "1,{},x\n",
            csv_field(&json!({ "message": line }).to_string())
        )
    })
}

fn with_members_in_another_order(lines: &[String]) -> Vec<u8> {
    wrap_each(lines, |line| match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(members)) => {
            let members = members.iter().rev();
            let members = members.map(|(name, value)| format!("{}: {value}", json!(name)));
            format!("{{ {} }}\n", members.collect::<Vec<_>>().join(" , "))
        }
        _ => format!("{line}\n"),
    })
}

fn with_members_on_lines_of_their_own(lines: &[String]) -> Vec<u8> {
    wrap_each(lines, |line| match serde_json::from_str::<Value>(line) {
        Ok(value) => format!("{value:#}\n"),
        Err(_) => format!("{line}\n"),
    })
}

/// Writes numeric escapes, as writers of JSON in Python and Go do for some characters.
fn with_every_special_character_as_a_number(lines: &[String]) -> Vec<u8> {
    wrap_each(lines, |line| {
        let text = escape_non_ascii(&json!(line).to_string());
        format!("{{\"message\": {text}}}\n")
    })
}

/// Escapes characters in JSON that are not ASCII, and `<`, `>` and `&`.
fn escape_non_ascii(json: &str) -> String {
    let escaped = json.chars().map(|character| match character {
        ' '..='~' if !"<>&".contains(character) => character.to_string(),
        other => {
            let mut units = [0; 2];
            let units = other.encode_utf16(&mut units);
            units.iter().map(|unit| format!("\\u{unit:04x}")).collect()
        }
    });
    escaped.collect()
}

fn utf_16(text: &[u8], bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let text = std::str::from_utf8(text).unwrap();
    text.encode_utf16().flat_map(bytes).collect()
}

/// Writes UTF-16 as a redirection in PowerShell does.
fn utf_16_with_a_mark(lines: &[String]) -> Vec<u8> {
    let text = ["\u{feff}".as_bytes(), &filter_log_events(lines)].concat();
    utf_16(&text, u16::to_le_bytes)
}

fn utf_16_without_a_mark(lines: &[String]) -> Vec<u8> {
    utf_16(&plain(lines), u16::to_le_bytes)
}

fn utf_16_big_endian(lines: &[String]) -> Vec<u8> {
    utf_16(&plain(lines), u16::to_be_bytes)
}

pub(super) fn gzipped(text: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text).unwrap();
    gzip.finish().unwrap()
}

fn gzip(lines: &[String]) -> Vec<u8> {
    gzipped(&plain(lines))
}

fn gzip_in_gzip(lines: &[String]) -> Vec<u8> {
    gzipped(&gzip_members_with_line_breaks(lines))
}

fn gzip_members_with_line_breaks(lines: &[String]) -> Vec<u8> {
    let members = lines
        .iter()
        .map(|line| gzipped(subscription(line).as_bytes()));
    members.collect::<Vec<_>>().join(&b'\n')
}

fn gzip_after_text(lines: &[String]) -> Vec<u8> {
    [
        b"a line of text\n",
        &*gzipped(&plain(lines)),
        b"and another one\n",
    ]
    .concat()
}

/// Returns the payload that CloudWatch Logs sends for one event.
fn subscription(line: &str) -> String {
    let events = [json!({ "id": "1", "timestamp": 1_790_000_000_000_u64, "message": line })];
    json!({ "messageType": "DATA_MESSAGE", "logGroup": "g", "logEvents": events }).to_string()
}

fn gzip_base64(text: &str) -> String {
    STANDARD.encode(gzipped(text.as_bytes()))
}

fn base64_file(lines: &[String]) -> Vec<u8> {
    let text = STANDARD.encode(gzip(lines));
    let lines = text.as_bytes().chunks(76);
    lines.collect::<Vec<_>>().join(&b'\n')
}

fn url_safe_base64(lines: &[String]) -> Vec<u8> {
    URL_SAFE_NO_PAD.encode(gzip(lines)).into_bytes()
}

fn url_safe_base64_in_lines(lines: &[String]) -> Vec<u8> {
    let text = url_safe_base64(lines);
    let lines = text.chunks(64);
    lines.collect::<Vec<_>>().join(&b'\n')
}

fn base64_before_a_hyphen(lines: &[String]) -> Vec<u8> {
    let line = |line: &String| gzip_base64(line) + "-end\n";
    lines.iter().map(line).collect::<String>().into_bytes()
}

fn subscription_event(lines: &[String]) -> Vec<u8> {
    let data = STANDARD.encode(gzipped(&filter_log_events(lines)));
    json!({ "awslogs": { "data": data } })
        .to_string()
        .into_bytes()
}

/// Writes an event with the escapes of .NET's JSON writer.
fn kinesis_event(lines: &[String]) -> Vec<u8> {
    let record = |line: &String| json!({ "kinesis": { "partitionKey": "1", "data": gzip_base64(&subscription(line)) } });
    let records: Vec<Value> = lines.iter().map(record).collect();
    let event = json!({ "Records": records }).to_string();
    event
        .replace('+', "\\u002B")
        .replace('=', "\\u003D")
        .into_bytes()
}

fn kinesis_get_records(lines: &[String]) -> Vec<u8> {
    let record = |line: &String| json!({ "SequenceNumber": "1", "Data": STANDARD.encode(line), "PartitionKey": "1" });
    let records: Vec<Value> = lines.iter().map(record).collect();
    serde_json::to_vec_pretty(&json!({ "Records": records })).unwrap()
}

fn firehose_event(lines: &[String]) -> Vec<u8> {
    let record =
        |line: &String| json!({ "recordId": "1", "data": STANDARD.encode(subscription(line)) });
    let records: Vec<Value> = lines.iter().map(record).collect();
    json!({ "invocationId": "1", "records": records })
        .to_string()
        .into_bytes()
}

fn firehose_without_delimiters(lines: &[String]) -> Vec<u8> {
    let records = lines.iter().map(|line| subscription(line));
    records.collect::<String>().into_bytes()
}

/// Folds text after about 80 characters, at a space or with a backslash.
fn yaml_in_double_quotes(lines: &[String]) -> Vec<u8> {
    let event = |line: &String| {
        let text = json!(format!("{line}\n")).to_string();
        let mut folded = String::new();
        let (mut column, mut is_escaped) = (0, 0);
        for character in text.chars() {
            let is_start = is_escaped == 0;
            if column > 80 && is_start && !character.is_whitespace() && character != '"' {
                folded.push_str("\\\n    ");
                column = 0;
            }
            is_escaped = match character {
                '\\' if is_start => 1,
                // Four digits follow.
                'u' if is_escaped == 1 => 5,
                _ => usize::saturating_sub(is_escaped, 1),
            };
            folded.push(character);
            column += 1;
        }
        format!("- logStreamName: s\n  message: {folded}\n  timestamp: 1\n")
    };
    format!("events:\n{}", lines.iter().map(event).collect::<String>()).into_bytes()
}

fn yaml_in_single_quotes(lines: &[String]) -> Vec<u8> {
    let event = |line: &String| {
        let text = fold_at_spaces(&line.replace('\'', "''"));
        format!("- message: '{text}'\n  timestamp: 1\n")
    };
    format!("events:\n{}", lines.iter().map(event).collect::<String>()).into_bytes()
}

fn yaml_in_folded_blocks(lines: &[String]) -> Vec<u8> {
    let event = |line: &String| {
        let text = fold_at_spaces(line);
        format!("- \"message\": >-\n    {text}\n  timestamp: 1\n")
    };
    format!("events:\n{}", lines.iter().map(event).collect::<String>()).into_bytes()
}

/// Breaks the line at each single space.
fn fold_at_spaces(text: &str) -> String {
    let mut folded = String::new();
    for (number, word) in text.split(' ').enumerate() {
        let is_between = number > 0 && !word.is_empty() && !folded.ends_with(' ');
        let space = if is_between { "\n    " } else { " " };
        folded.push_str(if number > 0 { space } else { "" });
        folded.push_str(word);
    }
    folded
}

/// Splits a line into pieces of this many bytes.
fn split(line: &str, length: usize) -> Vec<String> {
    let pieces = line.as_bytes().chunks(length);
    pieces
        .map(|piece| String::from_utf8(piece.to_vec()).unwrap())
        .collect()
}

/// Returns the pieces of each line as records, with a piece of another container's line after each.
fn split_into_records(
    lines: &[String],
    record: fn(&str, &str, usize, bool) -> Value,
) -> Vec<Value> {
    let mut records = Vec::new();
    for (line, text) in lines.iter().enumerate() {
        let pieces = split(&escape_non_ascii(text), 16 * 1024);
        for (at, piece) in pieces.iter().enumerate() {
            let id = format!("id-{}", line + 1);
            records.push(record(piece, &id, at + 1, at + 1 == pieces.len()));
            records.push(record(
                "another container's",
                &format!("{id}-other"),
                at + 1,
                false,
            ));
        }
    }
    records
}

fn json_lines(records: &[Value]) -> Vec<u8> {
    let lines = records.iter().map(|record| format!("{record}\n"));
    lines.collect::<String>().into_bytes()
}

fn firelens_records(lines: &[String]) -> Vec<Value> {
    split_into_records(lines, |piece, id, ordinal, is_last| {
        json!({
            "container_name": "api", "log": piece, "partial_message": "true", "partial_id": id,
            "partial_ordinal": ordinal.to_string(), "partial_last": is_last.to_string(),
        })
    })
}

pub(super) fn firelens(lines: &[String]) -> Vec<u8> {
    json_lines(&firelens_records(lines))
}

fn firelens_in_log_events(lines: &[String]) -> Vec<u8> {
    let records = firelens_records(lines);
    let records: Vec<String> = records.iter().map(ToString::to_string).collect();
    filter_log_events(&records)
}

fn docker_journald(lines: &[String]) -> Vec<u8> {
    json_lines(&split_into_records(lines, |piece, id, ordinal, is_last| {
        let mut record = json!({
            "MESSAGE": piece, "CONTAINER_PARTIAL_ID": id,
            "CONTAINER_PARTIAL_ORDINAL": ordinal.to_string(),
            "CONTAINER_PARTIAL_LAST": is_last.to_string(),
        });
        if !is_last {
            record["CONTAINER_PARTIAL_MESSAGE"] = "true".into();
        }
        record
    }))
}

fn cri_by_fluent_bit(lines: &[String]) -> Vec<u8> {
    json_lines(&split_into_records(lines, |piece, id, ordinal, is_last| {
        let pod = if id.ends_with("other") {
            "other"
        } else {
            "orders"
        };
        json!({
            "time": format!("2026-11-21T17:00:00.{ordinal}Z"), "stream": "stdout",
            "logtag": if is_last { "F" } else { "P" }, "log": piece,
            "kubernetes": { "pod_name": pod },
        })
    }))
}

fn journald(lines: &[String]) -> Vec<u8> {
    let mut records = Vec::new();
    for line in lines {
        let pieces = split(&escape_non_ascii(line), 48 * 1024);
        for (at, piece) in pieces.iter().enumerate() {
            let mut record = json!({ "_STREAM_ID": "1", "MESSAGE": piece });
            if at + 1 < pieces.len() {
                record["_LINE_BREAK"] = "line-max".into();
            }
            records.push(record);
            records.push(json!({ "_STREAM_ID": "2", "MESSAGE": "another service" }));
        }
    }
    json_lines(&records)
}

/// Writes bytes, as journalctl does for text that is unprintable or not UTF-8. A split may be
/// inside a character.
fn journald_bytes(lines: &[String]) -> Vec<u8> {
    let mut records = Vec::new();
    for line in lines {
        let mut pieces = line.as_bytes().chunks(4001).peekable();
        while let Some(piece) = pieces.next() {
            let mut record = json!({ "_STREAM_ID": "1", "MESSAGE": piece });
            if pieces.peek().is_some() {
                record["_LINE_BREAK"] = "line-max".into();
            }
            records.push(record);
        }
    }
    json_lines(&records)
}

/// Records in the journal's native protocol, such as those of Docker's driver, have no stream.
fn journald_native_bytes(lines: &[String]) -> Vec<u8> {
    let record = |line: &String| json!({ "__CURSOR": "s=1", "MESSAGE": line.as_bytes() });
    json_lines(&lines.iter().map(record).collect::<Vec<_>>())
}

fn awslogs_without_marks(lines: &[String]) -> Vec<u8> {
    wrap_each(lines, |line| {
        let pieces = split(&escape_non_ascii(line), 16 * 1024);
        let prefix = "2026-11-21T17:00:00.123000+00:00 api/api/0123";
        let pieces = pieces.iter().map(|piece| format!("{prefix} {piece}\n"));
        let other = "2026-11-21T17:00:00.123000+00:00 api/api/4567 another container\n";
        pieces.collect::<Vec<_>>().join(other)
    })
}

fn awslogs_without_marks_in_log_events(lines: &[String]) -> Vec<u8> {
    let mut events = Vec::new();
    for line in lines {
        for piece in split(&escape_non_ascii(line), 16 * 1024) {
            events.push(json!({ "logStreamName": "a", "timestamp": 1, "message": piece }));
            events.push(json!({ "logStreamName": "b", "timestamp": 1, "message": "another" }));
        }
    }
    serde_json::to_vec_pretty(&json!({ "events": events })).unwrap()
}
