//! The conversion of a message into the types of the AWS SDK.

use std::collections::HashMap;

use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
};

use crate::added_attributes::AddedAttributes;
use crate::message::OutgoingMessage;

/// The attributes of a message in the SDK's types. `None` if there are none.
#[derive(Debug)]
pub(crate) struct SdkAttributes {
    pub(crate) attributes: Option<HashMap<String, MessageAttributeValue>>,
    pub(crate) system_attributes:
        Option<HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>>,
}

impl SdkAttributes {
    /// Converts the attributes of a message and those that the send adds to it.
    pub(crate) fn new(
        message: &OutgoingMessage,
        added: &AddedAttributes,
    ) -> Result<Self, BuildError> {
        let own = message.attributes.iter();
        let all = own.chain(&added.context).chain(&added.optional);
        let attributes = all
            .map(|attribute| attribute.clone().into_sdk())
            .collect::<Result<HashMap<_, _>, _>>()?;
        let own_header = message.trace_header.as_ref().map(|header| &header.value);
        let header = own_header.or(added.trace_header.as_ref());
        Ok(Self {
            attributes: Some(attributes).filter(|attributes| !attributes.is_empty()),
            system_attributes: header.map(|header| trace_header(header)).transpose()?,
        })
    }
}

/// Returns the system attribute `AWSTraceHeader`.
fn trace_header(
    header: &str,
) -> Result<HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>, BuildError> {
    let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
    Ok(HashMap::from([(name, trace_header_value(header)?)]))
}

/// Returns X-Ray's header in the SDK's type.
pub(crate) fn trace_header_value(header: &str) -> Result<MessageSystemAttributeValue, BuildError> {
    MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value(header)
        .build()
}
