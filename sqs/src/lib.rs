//! The client side of SQS that `baton-producer` and the dead-letter queue of `baton-lambda` share.
//!
//! A send adds attributes to the caller's message: the trace context and, for a dead-letter queue,
//! the failure. SQS counts them against the queue's `MaximumMessageSize`, which may be far below
//! the 1 MiB limit of SQS and is not known to the sender. The added attributes never make [`send`]
//! fail: when SQS refuses the message for its size, it is sent again with fewer of them.
//!
//! ```no_run
//! # async fn example(client: aws_sdk_sqs::Client, traceparent: String) -> Result<(), Box<dyn std::error::Error>> {
//! use baton_sqs::{AddedAttributes, LearnedLimit, TextAttribute};
//!
//! let limit = LearnedLimit::default();
//! let body = "order 17";
//! let request = client.send_message().queue_url("https://sqs.eu-west-1.amazonaws.com/123456789012/orders").message_body(body);
//! let mut added = AddedAttributes {
//!     context: vec![TextAttribute::new("traceparent", traceparent)],
//!     ..AddedAttributes::default()
//! };
//! let accepted = baton_sqs::send(&client, request, body.len(), &mut added, &limit).await?;
//! println!("{:?} was sent without {:?}", accepted.message_id(), added.left_out);
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! | module | what is in it |
//! |---|---|
//! | `send` | the send, and the decision to repeat it |
//! | `queue` | the URL of a queue |
//! | `added` | the attributes that a send adds, and the order in which they are left out |
//! | `limit` | the size limit that a queue has stated |
//! | `refusal` | the refusals that fewer attributes may avoid |

mod added;
mod added_attributes;
mod call;
#[cfg(feature = "client-settings")]
mod client_settings;
mod error;
pub mod error_type;
mod learned_limit;
mod limits;
mod message;
mod metrics;
mod queue;
mod queue_client;
mod refusal;
mod send;
mod span;
mod trace_context;

pub use added::{AddedAttributes, TextAttribute};
#[cfg(feature = "client-settings")]
pub use client_settings::{ClientSettings, config_loader, http_client};
pub use error::{QueueUnreachable, SendError};
pub use learned_limit::LearnedLimit;
pub use limits::{MAX_ATTRIBUTES, MAX_MESSAGE_BYTES, is_accepted_character};
pub use message::{Attribute, AttributeValue, InvalidMessage, OutgoingMessage};
pub use queue::{InvalidQueueUrl, QueueUrl};
pub use queue_client::{PreparedSend, QueueClient, Sent};
pub use send::{NotSent, send};
