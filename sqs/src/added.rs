//! Attributes that a send adds, and the order in which they are left out.

use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::operation::send_message::builders::SendMessageFluentBuilder;
use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
};

/// The data type of text, which SQS counts against the size like the value.
const STRING: &str = "String";

const TRACESTATE: &str = "tracestate";
const BAGGAGE: &str = "baggage";

/// The system attribute that carries X-Ray's header.
const AWS_TRACE_HEADER: &str = "AWSTraceHeader";

/// A message attribute of type `String`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextAttribute {
    /// The attribute's name.
    pub name: String,
    /// The attribute's value; SQS refuses an empty one.
    pub value: String,
}

/// Attributes that a send adds to the caller's message.
///
/// They are left out in this order: `metadata` from its end, `baggage`, `tracestate`, then the rest
/// of `context` from its end. A `tracestate` is therefore never left without its `traceparent`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddedAttributes {
    /// Fields of the trace context, the most important first.
    pub context: Vec<TextAttribute>,
    /// Anything else, the most important first.
    pub metadata: Vec<TextAttribute>,
    /// The value of the system attribute `AWSTraceHeader`. SQS does not count it against the
    /// message's size.
    pub trace_header: Option<String>,
    /// Names of the attributes that were left out, in that order.
    pub left_out: Vec<String>,
}

impl TextAttribute {
    /// An attribute of this name and value.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }

    /// Size in bytes as SQS counts it: name, type and value.
    #[must_use]
    pub fn size(&self) -> usize {
        self.name.len() + STRING.len() + self.value.len()
    }
}

impl AddedAttributes {
    /// Bytes that SQS counts against the message's size.
    #[must_use]
    pub fn size(&self) -> usize {
        let attributes = self.context.iter().chain(&self.metadata);
        attributes.map(TextAttribute::size).sum()
    }

    /// Leaves attributes out until the rest is at most this many bytes long.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        while self.size() > bytes {
            let Some(attribute) = self.metadata.pop().or_else(|| self.pop_context()) else {
                return;
            };
            self.left_out.push(attribute.name);
        }
    }

    /// Leaves out the next group: all metadata, `baggage`, `tracestate`, or the rest of the context
    /// with X-Ray's header.
    ///
    /// Returns `false` when no group was left.
    pub(crate) fn leave_out_next(&mut self) -> bool {
        let count = self.left_out.len();
        if !self.metadata.is_empty() {
            let names = self.metadata.drain(..).map(|attribute| attribute.name);
            self.left_out.extend(names);
        } else if let Some(companion) = self.pop_companion() {
            self.left_out.push(companion.name);
        } else {
            let names = self.context.drain(..).map(|attribute| attribute.name);
            self.left_out.extend(names);
            let header = self.trace_header.take();
            self.left_out
                .extend(header.map(|_| AWS_TRACE_HEADER.to_owned()));
        }
        self.left_out.len() > count
    }

    fn pop_context(&mut self) -> Option<TextAttribute> {
        self.pop_companion().or_else(|| self.context.pop())
    }

    /// Removes `baggage`, or else `tracestate`: the trace continues without either.
    fn pop_companion(&mut self) -> Option<TextAttribute> {
        let position = |name| self.context.iter().position(|field| field.name == name);
        let companion = position(BAGGAGE).or_else(|| position(TRACESTATE))?;
        Some(self.context.remove(companion))
    }

    /// Adds these attributes to a request.
    pub(crate) fn add_to(
        &self,
        mut request: SendMessageFluentBuilder,
    ) -> Result<SendMessageFluentBuilder, BuildError> {
        for TextAttribute { name, value } in self.context.iter().chain(&self.metadata) {
            let value = MessageAttributeValue::builder()
                .data_type(STRING)
                .string_value(value)
                .build()?;
            request = request.message_attributes(name, value);
        }
        if let Some(header) = &self.trace_header {
            let value = MessageSystemAttributeValue::builder()
                .data_type(STRING)
                .string_value(header)
                .build()?;
            let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
            request = request.message_system_attributes(name, value);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(names: &[&str]) -> Vec<TextAttribute> {
        let attributes = names.iter().map(|name| TextAttribute::new(*name, "v"));
        attributes.collect()
    }

    fn all() -> AddedAttributes {
        AddedAttributes {
            context: attributes(&["traceparent", "tracestate", "baggage", "b3"]),
            metadata: attributes(&["error.type", "source"]),
            trace_header: Some("Root=1".to_owned()),
            left_out: Vec::new(),
        }
    }

    #[test]
    fn the_traceparent_is_left_out_last() {
        let order = [
            "source",
            "error.type",
            "baggage",
            "tracestate",
            "b3",
            "traceparent",
        ];
        for count in 0..=order.len() {
            let mut added = all();
            let bytes = order[count..]
                .iter()
                .map(|name| name.len() + "Stringv".len());
            added.shrink_to(bytes.sum());
            assert_eq!(added.left_out, order[..count]);
            // SQS does not count the header, so leaving it out would not help.
            assert!(added.trace_header.is_some());
        }
    }

    #[test]
    fn one_byte_too_many_costs_a_whole_attribute() {
        let mut added = all();
        added.shrink_to(added.size() - 1);
        assert_eq!(added.left_out, ["source"]);
    }

    #[test]
    fn groups_are_left_out_in_the_same_order() {
        let mut added = all();
        for expected in [
            &["error.type", "source"][..],
            &["baggage"],
            &["tracestate"],
            &["traceparent", "b3", AWS_TRACE_HEADER],
        ] {
            added.left_out.clear();
            assert!(added.leave_out_next());
            assert_eq!(added.left_out, expected);
        }
        assert!(!added.leave_out_next());
    }

    #[test]
    fn the_names_are_those_of_the_propagators() {
        let names = [
            baton_telemetry::TRACESTATE,
            baton_telemetry::BAGGAGE,
            baton_telemetry::AWS_TRACE_HEADER,
        ];
        assert_eq!([TRACESTATE, BAGGAGE, AWS_TRACE_HEADER], names);
    }
}
