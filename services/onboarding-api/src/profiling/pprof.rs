//! The format of pprof: `profile.proto`, compressed with gzip.
//!
//! The messages contain only the fields that are used. Strings are indices into the string table,
//! whose first entry is empty.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// Id of the only mapping, the program.
const PROGRAM: u64 = 1;

/// Samples of one thread with the same stack.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stack {
    /// Names of the functions, the running one first.
    pub(super) functions: Vec<String>,
    pub(super) thread: String,
    /// Number of samples.
    pub(super) count: u64,
}

/// A profile that is being built.
#[derive(Debug)]
pub(super) struct ProfileBuilder {
    profile: Profile,
    strings: HashMap<String, i64>,
    /// Ids of functions, which are also those of their locations, by the index of their names.
    functions: HashMap<i64, u64>,
    samples: u64,
    nanoseconds_per_sample: u64,
}

impl ProfileBuilder {
    /// Returns an empty profile with this number of samples per second of CPU time.
    pub(super) fn new(frequency: u32) -> Self {
        let mut builder = Self {
            profile: Profile::default(),
            strings: HashMap::new(),
            functions: HashMap::new(),
            samples: 0,
            nanoseconds_per_sample: NANOSECONDS_PER_SECOND / u64::from(frequency),
        };
        builder.string("");
        let samples = builder.value_type("samples", "count");
        let cpu = builder.value_type("cpu", "nanoseconds");
        let program = std::env::current_exe().unwrap_or_default();
        builder.profile = Profile {
            // The last type is the one that tools show first.
            sample_type: vec![samples, cpu],
            mapping: vec![Mapping {
                id: PROGRAM,
                filename: builder.string(&program.to_string_lossy()),
                // With this, tools do not look for the names in a local binary.
                has_functions: true,
            }],
            period_type: Some(cpu),
            period: to_i64(builder.nanoseconds_per_sample),
            ..builder.profile
        };
        builder
    }

    pub(super) fn add(&mut self, stack: Stack) {
        let locations = stack.functions.iter().map(|name| self.function(name));
        let location_id = locations.collect();
        let thread = Label {
            key: self.string("thread"),
            str: self.string(&stack.thread),
        };
        self.samples += stack.count;
        self.profile.sample.push(Sample {
            location_id,
            value: vec![
                to_i64(stack.count),
                to_i64(stack.count * self.nanoseconds_per_sample),
            ],
            label: vec![thread],
        });
    }

    /// Returns the number of samples.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// Encodes the profile with the time at which it began and its duration.
    pub(super) fn encode(mut self, start: SystemTime, duration: Duration) -> io::Result<Vec<u8>> {
        let since_epoch = start.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.profile.time_nanos = nanoseconds(since_epoch);
        self.profile.duration_nanos = nanoseconds(duration);
        let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
        compressed.write_all(&self.profile.encode_to_vec())?;
        compressed.finish()
    }

    fn value_type(&mut self, name: &str, unit: &str) -> ValueType {
        ValueType {
            r#type: self.string(name),
            unit: self.string(unit),
        }
    }

    /// Returns the id of a function's location.
    fn function(&mut self, name: &str) -> u64 {
        let name = self.string(name);
        let next = self.functions.len() as u64 + 1;
        let id = *self.functions.entry(name).or_insert(next);
        if id == next {
            self.profile.function.push(Function {
                id,
                name,
                system_name: name,
            });
            self.profile.location.push(Location {
                id,
                mapping_id: PROGRAM,
                line: vec![Line { function_id: id }],
            });
        }
        id
    }

    /// Returns the index of a string.
    fn string(&mut self, text: &str) -> i64 {
        if let Some(index) = self.strings.get(text) {
            return *index;
        }
        let index = to_i64(self.strings.len() as u64);
        self.strings.insert(text.to_owned(), index);
        self.profile.string_table.push(text.to_owned());
        index
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    r#type: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    str: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "5")]
    filename: i64,
    #[prost(bool, tag = "7")]
    has_functions: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    mapping_id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    fn stack(functions: &[&str], count: u64) -> Stack {
        Stack {
            functions: functions.iter().map(ToString::to_string).collect(),
            thread: "worker".to_owned(),
            count,
        }
    }

    fn decode(encoded: &[u8]) -> Profile {
        let mut bytes = Vec::new();
        GzDecoder::new(encoded).read_to_end(&mut bytes).unwrap();
        Profile::decode(&*bytes).unwrap()
    }

    #[test]
    fn samples_become_locations_and_cpu_time() {
        let mut builder = ProfileBuilder::new(100);
        builder.add(stack(&["leaf", "root"], 3));
        builder.add(stack(&["root"], 2));
        assert_eq!(builder.samples(), 5);
        let start = UNIX_EPOCH + Duration::from_nanos(7);
        let profile = decode(&builder.encode(start, Duration::from_secs(2)).unwrap());
        let text = |index: i64| profile.string_table[usize::try_from(index).unwrap()].as_str();
        assert_eq!(text(0), "");
        let types: Vec<_> = profile
            .sample_type
            .iter()
            .map(|ty| (text(ty.r#type), text(ty.unit)))
            .collect();
        assert_eq!(types, [("samples", "count"), ("cpu", "nanoseconds")]);
        assert_eq!(
            (profile.time_nanos, profile.duration_nanos),
            (7, 2_000_000_000)
        );
        assert_eq!(profile.period, 10_000_000);
        let names: Vec<_> = profile
            .function
            .iter()
            .map(|function| text(function.name))
            .collect();
        assert_eq!(names, ["leaf", "root"]);
        let samples: Vec<_> = profile
            .sample
            .iter()
            .map(|sample| (&*sample.location_id, &*sample.value))
            .collect();
        assert_eq!(samples[0], (&[1, 2][..], &[3, 30_000_000][..]));
        assert_eq!(samples[1], (&[2][..], &[2, 20_000_000][..]));
        let label = profile.sample[0].label[0];
        assert_eq!((text(label.key), text(label.str)), ("thread", "worker"));
    }

    #[test]
    fn each_string_is_in_the_table_once() {
        let mut builder = ProfileBuilder::new(100);
        builder.add(stack(&["same", "same"], 1));
        let profile = decode(&builder.encode(UNIX_EPOCH, Duration::ZERO).unwrap());
        let mut strings = profile.string_table.clone();
        strings.sort();
        strings.dedup();
        assert_eq!(strings.len(), profile.string_table.len());
        assert_eq!(profile.sample[0].location_id, [1, 1]);
        assert_eq!(profile.location.len(), 1);
    }
}
