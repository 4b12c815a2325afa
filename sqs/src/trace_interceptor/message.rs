//! The messages of a call in the types of the AWS SDK.

use std::collections::HashMap;

use aws_sdk_sqs::operation::send_message::SendMessageInput;
use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    SendMessageBatchRequestEntry,
};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TraceContextExt as _;

use crate::added_attributes::AddedAttributes;
use crate::message::{Attribute, OutgoingMessage};
use crate::sdk_request::trace_header_value;
use crate::trace_context::XRAY_TRACE_ID_HEADER;

type Attributes = HashMap<String, MessageAttributeValue>;
type SystemAttributes = HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>;

/// The parts of a message that decide about its trace context.
pub(super) struct MessageSummary {
    /// The attributes as texts. The body is empty, and so are binary values.
    pub(super) message: OutgoingMessage,
    /// Number of bytes that SQS counts and that are not in `message`.
    uncopied: usize,
}

/// The trace context of a message in the SDK's types.
#[derive(Default)]
pub(super) struct AddedContext {
    attributes: Vec<(String, MessageAttributeValue)>,
    trace_header: Option<MessageSystemAttributeValue>,
}

/// An `AWSTraceHeader` as an X-Ray propagator reads it.
struct TraceHeaderCarrier<'a>(&'a str);

impl MessageSummary {
    pub(super) fn from_input(input: &SendMessageInput, propagator: &dyn TextMapPropagator) -> Self {
        Self::new(
            input.message_body.as_deref().unwrap_or_default(),
            input.message_attributes.as_ref(),
            input.message_system_attributes.as_ref(),
            propagator,
        )
    }

    pub(super) fn from_entry(
        entry: &SendMessageBatchRequestEntry,
        propagator: &dyn TextMapPropagator,
    ) -> Self {
        Self::new(
            &entry.message_body,
            entry.message_attributes.as_ref(),
            entry.message_system_attributes.as_ref(),
            propagator,
        )
    }

    fn new(
        body: &str,
        attributes: Option<&Attributes>,
        system_attributes: Option<&SystemAttributes>,
        propagator: &dyn TextMapPropagator,
    ) -> Self {
        let mut message = OutgoingMessage::new("");
        let mut uncopied = body.len();
        for (name, value) in attributes.into_iter().flatten() {
            uncopied += value.binary_value().map_or(0, |bytes| bytes.as_ref().len());
            let text = value.string_value().unwrap_or_default();
            let copy = Attribute::text(name, text).with_data_type(value.data_type());
            message.attributes.push(copy);
        }
        let header = system_attributes.and_then(|attributes| {
            attributes.get(&MessageSystemAttributeNameForSends::AwsTraceHeader)
        });
        if let Some(header) = header {
            let value = header.string_value().unwrap_or_default();
            let carrier = TraceHeaderCarrier(value);
            let context = propagator.extract_with_context(&Context::new(), &carrier);
            let span_context = context.span().span_context().clone();
            let valid = Some(span_context).filter(|context| context.is_valid());
            message = message.with_trace_header(value, valid);
        }
        Self { message, uncopied }
    }

    /// Bytes of the message as SQS counts them.
    pub(super) fn size(&self) -> usize {
        self.message.size() + self.uncopied
    }

    /// Limits the size of the message together with its context.
    pub(super) fn set_max_bytes(&mut self, bytes: usize) {
        self.message.max_bytes = bytes.saturating_sub(self.uncopied);
    }
}

impl AddedContext {
    /// Converts the fields. The SDK's builders fail only without a data type, which is always set.
    pub(super) fn new(added: &AddedAttributes) -> Self {
        let attributes = added.context.iter().cloned();
        let header = added.trace_header.as_deref();
        Self {
            attributes: attributes
                .filter_map(|attribute| attribute.into_sdk().ok())
                .collect(),
            trace_header: header.and_then(|header| trace_header_value(header).ok()),
        }
    }

    pub(super) fn add_to_input(self, input: &mut SendMessageInput) {
        self.add_to(
            &mut input.message_attributes,
            &mut input.message_system_attributes,
        );
    }

    pub(super) fn add_to_entry(self, entry: &mut SendMessageBatchRequestEntry) {
        self.add_to(
            &mut entry.message_attributes,
            &mut entry.message_system_attributes,
        );
    }

    fn add_to(
        self,
        attributes: &mut Option<Attributes>,
        system_attributes: &mut Option<SystemAttributes>,
    ) {
        if !self.attributes.is_empty() {
            attributes.get_or_insert_default().extend(self.attributes);
        }
        if let Some(header) = self.trace_header {
            system_attributes
                .get_or_insert_default()
                .insert(MessageSystemAttributeNameForSends::AwsTraceHeader, header);
        }
    }
}

impl Extractor for TraceHeaderCarrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        key.eq_ignore_ascii_case(XRAY_TRACE_ID_HEADER)
            .then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![XRAY_TRACE_ID_HEADER]
    }
}
