//! The consumer as a tower service, for programs that assemble the Lambda runtime themselves.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::LambdaEvent;
use tower::Service;

use crate::flush::FlushLayer;
use crate::invocation::{InvocationError, InvocationHandler};

/// A tower service that handles batches: the core of
/// [`ConsumerBuilder::run`](crate::ConsumerBuilder::run), with the event and response types of
/// `aws_lambda_events`. Clones share all state.
///
/// ```no_run
/// use baton_lambda::{Consumer, Failure, Message};
/// use lambda_runtime::{Error, Runtime};
///
/// # async fn handle(message: Message<String>) -> Result<(), Failure> { Ok(()) }
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), Error> {
///     let service = Consumer::builder().service(handle).await?;
///     let flush = service.flush_layer();
///     Runtime::new(service).layer(flush).run().await
/// }
/// ```
///
/// A `service_fn` around the service should return its [error](InvocationError) unchanged: the
/// runtime reports the error's type, which a boxed error would lose.
///
/// The service flushes before it returns, unless the flush point is
/// [`AfterResponse`](crate::FlushPoint::AfterResponse): then only the [layer](Self::flush_layer)
/// flushes. It accepts the event of an event source mapping, and only `run` also accepts the array
/// that EventBridge Pipes sends. The service serializes the event to JSON again so that the core
/// can read it, which costs more than `run`: prefer `run` where possible.
#[derive(Clone)]
pub struct ConsumerService {
    invocation_handler: Arc<InvocationHandler>,
}

impl ConsumerService {
    pub(crate) fn new(invocation_handler: InvocationHandler) -> Self {
        Self {
            invocation_handler: Arc::new(invocation_handler),
        }
    }

    /// Returns the layer that flushes after the response, if that is the flush point.
    #[must_use]
    pub fn flush_layer(&self) -> FlushLayer {
        self.invocation_handler.flush_layer()
    }
}

impl Service<LambdaEvent<SqsEvent>> for ConsumerService {
    type Response = SqsBatchResponse;
    type Error = InvocationError;
    type Future = Pin<Box<dyn Future<Output = Result<SqsBatchResponse, InvocationError>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), InvocationError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, event: LambdaEvent<SqsEvent>) -> Self::Future {
        let invocation_handler = Arc::clone(&self.invocation_handler);
        Box::pin(async move {
            let payload = serde_json::to_vec(&event.payload)
                .map_err(|error| InvocationError::Event(error.to_string()))?;
            invocation_handler
                .handle(LambdaEvent::new(payload, event.context))
                .await
        })
    }
}

impl fmt::Debug for ConsumerService {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ConsumerService")
            .finish_non_exhaustive()
    }
}
