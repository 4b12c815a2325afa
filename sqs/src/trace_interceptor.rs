//! The interceptor that adds the trace context to the calls of an AWS SDK client.
//!
//! Before a call, `injection` starts the spans (`span`) and the measurement (`measurement`), and
//! adds the context to the messages (`message`). The SDK keeps them (`call`) until `outcome` ends
//! them with the result.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use aws_sdk_sqs::config::interceptors::{
    BeforeSerializationInterceptorContextMut, FinalizerInterceptorContextRef,
};
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::error::BoxError;
use aws_sdk_sqs::operation::send_message::SendMessageInput;
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchInput;
use opentelemetry::Context;
use opentelemetry::global;
use opentelemetry::metrics::Meter;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::Tracer;

use self::call::Call;
use self::injection::Injector;
use crate::limits::MAX_MESSAGE_BYTES;
use crate::metrics::SendInstruments;
use crate::span::TracedCall;
use crate::trace_context::warn_without_propagator;
use crate::tracer::SharedTracer;

mod call;
mod injection;
mod measurement;
mod message;
mod outcome;
mod span;

/// Adds the trace context to the messages that a program sends with an AWS SDK client, and records
/// each call as spans.
///
/// The interceptor handles `SendMessage` and `SendMessageBatch`. All other operations are left
/// unchanged.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use baton_sqs::TraceInterceptor;
///
/// let config = aws_sdk_sqs::Config::builder()
///     .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
///     .interceptor(TraceInterceptor::new())
///     .build();
/// let client = aws_sdk_sqs::Client::from_conf(config);
/// let queue = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";
/// client.send_message().queue_url(queue).message_body("order 17").send().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Spans
///
/// The spans are children of the context that is current where the program awaits the call.
///
/// A `SendMessage` is recorded as a span `send {queue}` of kind PRODUCER. The message carries the
/// context of this span.
///
/// A `SendMessageBatch` is recorded as these spans:
///
/// - `create {queue}` of kind PRODUCER, for each message. The message carries the context of this
///   span.
/// - `send {queue}` of kind CLIENT, with a link to each `create` span.
///
/// [`without_create_spans`](Self::without_create_spans) omits the `create` spans; the `send` span
/// is then of kind PRODUCER, and all messages carry its context. All spans last until SQS has
/// responded. A `create` span has the id of its message, or the error code of SQS as `error.type`.
/// The `send` span has the `error.type` of the first message that SQS did not accept.
///
/// If the program put a trace context into a message, the message keeps it, and the `send` span has
/// a link to it. Only baggage is added to such a message. If the message carries no context of a
/// span of this interceptor, there is no `create` span for it, and a `send` span of `SendMessage`
/// is of kind CLIENT.
///
/// There is one set of spans for a call, regardless of the SDK's retries, which send the same
/// bytes. If the future of a call is dropped, its spans end with `error.type` `cancelled`. If the
/// queue's URL does not parse, the spans are called `send` and `create` and have no attributes of
/// the queue.
///
/// # Metrics
///
/// With a [meter](Self::with_meter), the interceptor records the same metrics as a
/// [`QueueSender`](crate::QueueSender). `messaging.client.operation.duration` has one measurement
/// for a call, with the `error.type` of the `send` span. `messaging.client.sent.messages` counts
/// each message once, with an `error.type` if SQS did not accept it. If the queue's URL
/// does not parse, `messaging.destination.name` is missing.
///
/// # Limits of SQS
///
/// The interceptor never returns an error, and it catches panics of the tracer and of the
/// propagator. It adds only fields that fit: a message has at most ten attributes and 1 MiB, and
/// all messages of a batch together have at most 1 MiB. Each message gets its `traceparent` before
/// any gets `tracestate` or `baggage`. The attribute `baton.context.dropped` names the fields that
/// were left out, on the `create` span of the message and on the `send` span.
///
/// A queue rejects a message that exceeds its `MaximumMessageSize` because of the context. Many
/// queues have 256 KiB, so a message of up to 256 KiB stays within 256 KiB. For a queue with
/// another limit, set [`with_maximum_message_size`](Self::with_maximum_message_size).
///
/// # Differences from `QueueSender`
///
/// - The call does not run inside its span, because no hook of the SDK surrounds the call. Spans
///   and log lines that the SDK creates during the call belong to the caller's span.
/// - A message that the queue rejects because of its size is not sent again without context.
///
/// The interceptor ignores the calls of a [`QueueClient`](crate::QueueClient) and of a
/// [`QueueSender`](crate::QueueSender), which have their own spans.
#[derive(Clone)]
pub struct TraceInterceptor {
    /// `None` for the global tracer provider at the time of the call.
    tracer: Option<SharedTracer>,
    /// `None` for the global propagator at the time of the call.
    propagator: Option<Arc<dyn TextMapPropagator + Send + Sync>>,
    /// `None` without a meter.
    instruments: Option<SendInstruments>,
    has_create_spans: bool,
    /// `None` if the limits of the queues are not known.
    max_message_bytes: Option<usize>,
}

impl TraceInterceptor {
    /// Creates an interceptor that uses the global tracer provider and the global propagator, both
    /// as they are at the time of each call.
    ///
    /// If no global propagator is set at the time of a call, a warning is logged, once in the
    /// process.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tracer: None,
            propagator: None,
            instruments: None,
            has_create_spans: true,
            max_message_bytes: None,
        }
    }

    /// Creates the spans with this tracer instead of one of the global tracer provider.
    #[must_use]
    pub fn with_tracer<T>(mut self, tracer: T) -> Self
    where
        T: Tracer + Send + Sync + 'static,
        T::Span: Send + Sync + 'static,
    {
        self.tracer = Some(SharedTracer::new(tracer));
        self
    }

    /// Reads and writes the trace context with this propagator instead of the global one.
    #[must_use]
    pub fn with_propagator<P>(mut self, propagator: P) -> Self
    where
        P: TextMapPropagator + Send + Sync + 'static,
    {
        self.propagator = Some(Arc::new(propagator));
        self
    }

    /// Records the calls with instruments of this meter: `messaging.client.operation.duration` and
    /// `messaging.client.sent.messages`. If a call has several interceptors, only the first records
    /// it.
    #[must_use]
    pub fn with_meter(mut self, meter: &Meter) -> Self {
        self.instruments = Some(SendInstruments::new(meter));
        self
    }

    /// Records a `SendMessageBatch` as one `send` span, whose context all its messages carry.
    #[must_use]
    pub fn without_create_spans(mut self) -> Self {
        self.has_create_spans = false;
        self
    }

    /// Adds context to a message only up to this size in bytes: the lowest `MaximumMessageSize` of
    /// the queues that the client sends to. Values above the 1 MiB of SQS have no effect.
    #[must_use]
    pub fn with_maximum_message_size(mut self, bytes: usize) -> Self {
        self.max_message_bytes = Some(bytes.min(MAX_MESSAGE_BYTES));
        self
    }

    /// Starts the spans of a call and adds the context to its input. Returns `None` for an
    /// operation that sends no messages.
    fn start(&self, context: &mut BeforeSerializationInterceptorContextMut<'_>) -> Option<Call> {
        let input = context.input_mut();
        if let Some(input) = input.downcast_mut::<SendMessageInput>() {
            return Some(self.with_injector(|injector| injector.start_single(input)));
        }
        let input = input.downcast_mut::<SendMessageBatchInput>()?;
        Some(self.with_injector(|injector| injector.start_batch(input)))
    }

    fn with_injector(&self, mut start: impl FnMut(&Injector<'_>) -> Call) -> Call {
        let global_tracer;
        let tracer = match &self.tracer {
            Some(tracer) => tracer.get(),
            None => {
                global_tracer = global::tracer(env!("CARGO_PKG_NAME"));
                &global_tracer
            }
        };
        let mut start = |propagator: &dyn TextMapPropagator| {
            start(&Injector {
                tracer,
                propagator,
                instruments: self.instruments.as_ref(),
                has_create_spans: self.has_create_spans,
                max_message_bytes: self.max_message_bytes,
            })
        };
        match &self.propagator {
            Some(propagator) => start(&**propagator),
            None => global::get_text_map_propagator(|propagator| {
                // The call gets its spans even if the propagator panics here.
                let _ = catch_unwind(AssertUnwindSafe(|| warn_without_propagator(propagator)));
                start(propagator)
            }),
        }
    }
}

impl Default for TraceInterceptor {
    fn default() -> Self {
        Self::new()
    }
}

impl Intercept for TraceInterceptor {
    fn name(&self) -> &'static str {
        "TraceInterceptor"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // `true` if the interceptor is registered twice, for the client and for this call, or if
        // the call is one of a sender of this crate.
        let is_traced = cfg.load::<Call>().is_some()
            || Context::map_current(|context| context.get::<TracedCall>().is_some());
        if is_traced {
            return Ok(());
        }
        // The input changes last. If the program's tracer or propagator panics before, it is
        // unchanged.
        let started = catch_unwind(AssertUnwindSafe(|| self.start(context)));
        if let Ok(Some(call)) = started {
            cfg.interceptor_state().store_put(call);
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(call) = cfg.load::<Call>() {
            // The program gets the result of the call even if a span processor panics.
            let _ = catch_unwind(AssertUnwindSafe(|| outcome::finish(call, context)));
        }
        Ok(())
    }
}

/// Omits the tracer and the propagator, whose `Debug` forms may be long.
impl fmt::Debug for TraceInterceptor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TraceInterceptor")
            .field("has_create_spans", &self.has_create_spans)
            .field("max_message_bytes", &self.max_message_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
