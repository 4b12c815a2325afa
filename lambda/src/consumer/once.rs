//! One invocation, for [`testing`](crate::testing).

use std::sync::Arc;

use aws_lambda_events::event::sqs::SqsBatchResponse;
use baton_telemetry::Telemetry;
use lambda_runtime::LambdaEvent;

use super::{Builder, Flusher, build_processor};
use crate::config::Config;
use crate::handler::Handler;
use crate::invocation::{InvocationError, InvocationHandler};
use crate::shutdown::Shutdown;

impl<S> Builder<S> {
    /// Handles an event as [`run`](Self::run) does, without Lambda, and with the defaults in place
    /// of the environment.
    pub(crate) async fn invoke_once<H, Args>(
        self,
        handler: H,
        telemetry: Telemetry,
        event: LambdaEvent<Vec<u8>>,
    ) -> Result<SqsBatchResponse, InvocationError>
    where
        H: Handler<S, Args>,
    {
        let config = self.options.apply_to(Config::default());
        let processor =
            build_processor(handler, self.state, &config, &telemetry, self.dead_letters);
        let flusher = Flusher {
            telemetry,
            config,
            shutdown: Shutdown::default(),
            is_concurrent: false,
        };
        let invocation_handler = Arc::new(InvocationHandler::new(processor, Arc::new(flusher)));
        invocation_handler.handle(event).await
    }
}
