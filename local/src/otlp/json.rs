//! OTLP/JSON, read according to protobuf's JSON mapping.
//!
//! A request is translated to protobuf field by field. The serde implementations of the generated
//! messages would reject a whole request for one value that senders may legally write: a list
//! without `values`, `"NaN"`, `null`, or a number as a string. This translation ignores unknown
//! fields, reads `null` as the default, and accepts numbers as strings, names in camelCase or
//! snake_case, enums as numbers or names, and bytes in either base64 alphabet. Invalid Unicode is
//! replaced with U+FFFD. If a value still cannot be read, only its span, data point or log record
//! is skipped.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::Value;

use self::schema::{Field, FieldType, Recovery};

mod schema;
mod unicode;

pub(super) use self::schema::{LOGS, METRICS, Schema, TRACES};

/// Base64 with or without padding at the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Records of a request that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SkippedRecords {
    /// Number of skipped spans, data points or log records.
    pub(super) count: u64,
    /// Path of the first value that could not be read, and the expected form.
    pub(super) reason: Option<String>,
}

/// A value that cannot be read.
#[derive(Debug)]
struct InvalidValue {
    /// Path segments below the current message, in reverse order.
    path: Vec<String>,
    expected: &'static str,
}

type Result<T> = std::result::Result<T, InvalidValue>;

/// Translates a request to protobuf, and returns which of its records were skipped.
///
/// # Errors
///
/// Returns an error if the body is not JSON, or not an object with a list of resources.
pub(super) fn to_protobuf(
    body: &[u8],
    schema: &'static Schema,
) -> std::result::Result<(Vec<u8>, SkippedRecords), String> {
    let request = parse(body).map_err(|error| error.to_string())?;
    let mut skipped = SkippedRecords::default();
    let mut bytes = Vec::new();
    let mut translator = Translator {
        path: Vec::new(),
        skipped: &mut skipped,
    };
    translator
        .encode_message(&request, schema, &mut bytes)
        .map_err(|invalid| invalid.to_string())?;
    Ok((bytes, skipped))
}

/// Parses the body. Invalid Unicode in a string is replaced and does not cause an error.
fn parse(body: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(body).or_else(|error| {
        // Returns the first error, because its position refers to the text that the sender wrote.
        serde_json::from_str(&unicode::replace_invalid(body)).map_err(|_| error)
    })
}

struct Translator<'a> {
    /// Path of the current message.
    path: Vec<String>,
    skipped: &'a mut SkippedRecords,
}

impl Translator<'_> {
    fn encode_message(&mut self, value: &Value, schema: &Schema, out: &mut Vec<u8>) -> Result<()> {
        let object = value
            .as_object()
            .ok_or(InvalidValue::expected("an object"))?;
        for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            if let Some(field) = schema.field(name) {
                self.path.push(name.clone());
                let read = self.encode_field(value, field, out);
                self.path.pop();
                read.map_err(|invalid| invalid.prepend(name.clone()))?;
            }
        }
        Ok(())
    }

    fn encode_field(&mut self, value: &Value, field: &Field, out: &mut Vec<u8>) -> Result<()> {
        if !field.is_repeated {
            return self.encode_value(value, field, out);
        }
        let elements = value.as_array().ok_or(InvalidValue::expected("an array"))?;
        for (index, element) in elements.iter().enumerate() {
            let index = format!("[{index}]");
            self.path.push(index.clone());
            let read = self.encode_value(element, field, out);
            self.path.pop();
            read.map_err(|invalid| invalid.prepend(index))?;
        }
        Ok(())
    }

    fn encode_value(&mut self, value: &Value, field: &Field, out: &mut Vec<u8>) -> Result<()> {
        let FieldType::Message(schema) = field.field_type else {
            return encode_scalar(value, field, out);
        };
        let before = self.skipped.count;
        let mut inner = Vec::new();
        match self.encode_message(value, schema, &mut inner) {
            Ok(()) => {
                encode_key(field.number, WireType::LengthDelimited, out);
                encode_varint(inner.len() as u64, out);
                out.extend(inner);
            }
            Err(invalid) if schema.recovery == Recovery::Propagate => return Err(invalid),
            Err(mut invalid) => {
                invalid.path.extend(self.path.iter().rev().cloned());
                // `count_records` includes records of this message that were already skipped, so
                // the count starts from the number before it.
                self.skipped.count = before + count_records(value, schema);
                self.skipped
                    .reason
                    .get_or_insert_with(|| invalid.to_string());
            }
        }
        Ok(())
    }
}

/// Counts the records in a message, as far as it can be parsed.
fn count_records(value: &Value, schema: &Schema) -> u64 {
    if schema.recovery == Recovery::SkipRecord {
        return 1;
    }
    let fields = value.as_object().into_iter().flatten();
    let messages = fields.filter_map(|(name, value)| match schema.field(name)?.field_type {
        FieldType::Message(schema) => Some((value, schema)),
        _ => None,
    });
    messages
        .map(|(value, schema)| match value {
            Value::Array(elements) => elements
                .iter()
                .map(|value| count_records(value, schema))
                .sum(),
            value => count_records(value, schema),
        })
        .sum()
}

fn encode_scalar(value: &Value, field: &Field, out: &mut Vec<u8>) -> Result<()> {
    let number = field.number;
    let varint = |value: u64, out: &mut Vec<u8>| {
        encode_key(number, WireType::Varint, out);
        encode_varint(value, out);
    };
    let fixed64 = |bytes: [u8; 8], out: &mut Vec<u8>| {
        encode_key(number, WireType::SixtyFourBit, out);
        out.extend(bytes);
    };
    let bytes = |bytes: &[u8], out: &mut Vec<u8>| {
        encode_key(number, WireType::LengthDelimited, out);
        encode_varint(bytes.len() as u64, out);
        out.extend(bytes);
    };
    match field.field_type {
        FieldType::Text => bytes(read_string(value)?.as_bytes(), out),
        FieldType::Bytes => bytes(&decode_base64(read_string(value)?)?, out),
        FieldType::Id => bytes(&decode_hex(read_string(value)?)?, out),
        FieldType::Bool => varint(u64::from(read_bool(value)?), out),
        // Protobuf encodes a negative enum as its two's complement.
        FieldType::Enum(names) => varint(read_enum(value, names)?.cast_unsigned(), out),
        FieldType::Int64 => varint(read_integer::<i64>(value)?.cast_unsigned(), out),
        FieldType::Uint64 => varint(read_integer(value)?, out),
        FieldType::Uint32 => varint(u64::from(read_integer::<u32>(value)?), out),
        FieldType::Sint32 => varint(u64::from(zigzag(read_integer(value)?)), out),
        FieldType::Fixed64 => fixed64(read_integer::<u64>(value)?.to_le_bytes(), out),
        FieldType::Sfixed64 => fixed64(read_integer::<i64>(value)?.to_le_bytes(), out),
        FieldType::Double => fixed64(read_double(value)?.to_le_bytes(), out),
        FieldType::Fixed32 => {
            encode_key(number, WireType::ThirtyTwoBit, out);
            out.extend(read_integer::<u32>(value)?.to_le_bytes());
        }
        // `Translator::encode_value` handles messages and calls this function for all other types.
        FieldType::Message(_) => return Err(InvalidValue::expected("a message")),
    }
    Ok(())
}

fn read_string(value: &Value) -> Result<&str> {
    value.as_str().ok_or(InvalidValue::expected("a string"))
}

fn read_bool(value: &Value) -> Result<bool> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) => text
            .parse()
            .map_err(|_| InvalidValue::expected("true or false")),
        _ => Err(InvalidValue::expected("true or false")),
    }
}

/// Reads an integer, which may be a string. A zero fraction and an exponent are allowed, as in
/// `1.0` and `1e3`.
fn read_integer<T: TryFrom<i128>>(value: &Value) -> Result<T> {
    let written = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(InvalidValue::expected("an integer")),
    };
    let exact = written.parse::<i128>().ok();
    let whole = exact.or_else(|| {
        let number = written.parse::<f64>().ok()?;
        // Larger values do not fit any field; the cast saturates and the check below rejects them.
        (number.fract() == 0.0).then_some(number as i128)
    });
    let fitting = whole.and_then(|number| T::try_from(number).ok());
    fitting.ok_or(InvalidValue::expected(
        "an integer within the range of the field",
    ))
}

/// Reads a number, which may be a string, or `"NaN"`, `"Infinity"` or `"-Infinity"`.
fn read_double(value: &Value) -> Result<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or(InvalidValue::expected("a number"))
}

/// Reads an enum as a number or a name. An unknown name is ignored like an unknown field and yields
/// the default.
fn read_enum(value: &Value, names: &[&str]) -> Result<i64> {
    let Some(name) = value
        .as_str()
        .filter(|text| text.starts_with(char::is_alphabetic))
    else {
        return read_integer::<i32>(value).map(i64::from);
    };
    let number = names.iter().position(|known| *known == name);
    Ok(number.unwrap_or_default() as i64)
}

fn decode_base64(text: &str) -> Result<Vec<u8>> {
    let standard = text.replace('-', "+").replace('_', "/");
    BASE64
        .decode(standard)
        .map_err(|_| InvalidValue::expected("base64"))
}

fn decode_hex(text: &str) -> Result<Vec<u8>> {
    let digits = text.chars().map(|digit| digit.to_digit(16));
    let digits = digits.collect::<Option<Vec<_>>>();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2));
    let digits = digits.ok_or(InvalidValue::expected("hexadecimal digits"))?;
    // Two hexadecimal digits always fit a byte.
    Ok(digits
        .chunks(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect())
}

fn zigzag(number: i32) -> u32 {
    ((number << 1) ^ (number >> 31)).cast_unsigned()
}

impl InvalidValue {
    fn expected(expected: &'static str) -> Self {
        Self {
            path: Vec::new(),
            expected,
        }
    }

    fn prepend(mut self, name: String) -> Self {
        self.path.push(name);
        self
    }
}

impl std::fmt::Display for InvalidValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut path = String::new();
        for name in self.path.iter().rev() {
            if !path.is_empty() && !name.starts_with('[') {
                path.push('.');
            }
            path.push_str(name);
        }
        if path.is_empty() {
            return write!(formatter, "expected {}", self.expected);
        }
        write!(formatter, "{path}: expected {}", self.expected)
    }
}

#[cfg(test)]
mod tests;
