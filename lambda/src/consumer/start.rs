//! Start of a consumer: its telemetry, its batch processor, and the loop that polls for events.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use baton_telemetry::{ServiceInfo, Telemetry};
use lambda_runtime::{LambdaEvent, Runtime};
use tracing::{info, warn};

use super::Settings;
use crate::batch::{BatchProcessor, BoxedRecordHandler, FailurePolicy};
use crate::config::{
    ConsumerConfig, Environment, Keyword, check_runtime_variables, runtime_api_address,
};
use crate::dead_letter::DeadLetterQueue;
use crate::error::Error;
use crate::event_loop;
use crate::flush::Flusher;
use crate::invocation::InvocationHandler;
use crate::panic_abort::PanicHook;
use crate::payload::{self, PayloadLayer};
use crate::service::ConsumerService;
use crate::shutdown;

/// `service.name` outside Lambda, where the function has no name (resource conventions).
const UNKNOWN_SERVICE: &str = "unknown_service";

/// Handles messages until Lambda ends the process.
pub(super) async fn run(handler: BoxedRecordHandler, settings: Settings) -> Result<(), Error> {
    check_runtime_variables()?;
    let (invocation_handler, flusher, max_concurrency) = set_up(handler, settings).await?;
    let invocation_handler = Arc::new(invocation_handler);
    let flush_layer = invocation_handler.flush_layer();
    let signal = shutdown::register(&flusher.config).await;
    invocation_handler.record_init();
    let service = tower::service_fn(
        move |LambdaEvent {
                  payload: (),
                  context,
              }| {
            let invocation_handler = Arc::clone(&invocation_handler);
            // Boxed, because each layer of the runtime moves the future that it is given.
            Box::pin(async move {
                let event = LambdaEvent::new(payload::take(), context);
                invocation_handler.handle(event).await
            })
        },
    );
    let runtime = Runtime::new(service).layer(PayloadLayer).layer(flush_layer);
    tokio::select! {
        outcome = event_loop::run(runtime, max_concurrency) => {
            outcome.map_err(|error| Error::Runtime {
                address: runtime_api_address().unwrap_or_default(),
                error,
            })
        }
        () = shutdown::wait(signal, &flusher.shutdown, &flusher.telemetry) => Ok(()),
    }
}

pub(super) async fn service(
    handler: BoxedRecordHandler,
    settings: Settings,
) -> Result<ConsumerService, Error> {
    let (invocation_handler, _, _) = set_up(handler, settings).await?;
    Ok(ConsumerService::new(invocation_handler))
}

/// Returns the handler of invocations, its flusher, and the number of invocations that it handles
/// at the same time.
async fn set_up(
    handler: BoxedRecordHandler,
    settings: Settings,
) -> Result<(InvocationHandler, Arc<Flusher>, NonZeroUsize), Error> {
    let additional_extractor = match (&settings.telemetry, settings.check_telemetry) {
        (Some(telemetry), Some(check_telemetry)) => check_telemetry(telemetry),
        _ => Ok(None),
    };
    // Both errors return here, because each `return` would contain a copy of the code that drops
    // the settings.
    let environment = Environment::read().map_err(Error::Config);
    let (additional_extractor, environment) = match (additional_extractor, environment) {
        (Ok(additional_extractor), Ok(environment)) => (additional_extractor, environment),
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    let telemetry = match settings.telemetry {
        Some(telemetry) => telemetry,
        None => init_telemetry().await,
    };
    let config = settings.options.apply_to(environment.config);
    let dead_letters = match (settings.dead_letters, environment.dead_letter_queue) {
        (None, Some(url)) => Some(open_dead_letter_queue(&url).await?),
        (queue, _) => queue,
    };
    log_start(&config, dead_letters.as_ref());
    for unknown in environment.unknown {
        warn!(
            variable = unknown.name,
            suggestion = unknown.suggestion,
            "unknown environment variable ignored"
        );
    }
    let hook = PanicHook::install(&config, &telemetry);
    let failure_policy = FailurePolicy {
        classifiers: settings.classifiers,
        dead_letters,
        observer: None,
    };
    let mut processor = BatchProcessor::new(handler, config.clone(), &telemetry, failure_policy)
        .with_log_fields(settings.log_fields)
        .with_panic_hook(hook);
    processor.extractor.additional = additional_extractor;
    let is_concurrent = environment.max_concurrency.get() > 1;
    let flusher = Arc::new(Flusher {
        is_concurrent,
        ..Flusher::new(telemetry, config, processor.metrics.flush.clone())
    });
    let invocation_handler = InvocationHandler::new(processor, Arc::clone(&flusher));
    Ok((invocation_handler, flusher, environment.max_concurrency))
}

/// The service of the resource. Has no version, because `faas.version` is the function's version
/// and this library's version would be mistaken for it.
const SERVICE: ServiceInfo = ServiceInfo {
    name: UNKNOWN_SERVICE,
    version: None,
};

async fn init_telemetry() -> Telemetry {
    let builder = Telemetry::builder(SERVICE);
    #[cfg(feature = "secrets")]
    let builder = builder.header_source(baton_secrets::open);
    builder.init().await
}

async fn open_dead_letter_queue(url: &str) -> Result<DeadLetterQueue, Error> {
    let queue = DeadLetterQueue::from_environment(url).await;
    queue.map_err(|error| Error::DeadLetterQueue(Box::new(error)))
}

/// Logs the effective configuration. Keywords are spelled as in the environment variables.
fn log_start(config: &ConsumerConfig, dead_letters: Option<&DeadLetterQueue>) {
    info!(
        concurrency = config.concurrency,
        envelope = config.envelope.keyword(),
        trace_shape = config.trace_shape.keyword(),
        flush_point = config.flush_point.keyword(),
        flush_timeout_ms = milliseconds(config.flush_timeout),
        drain_before_deadline_ms = config.drain_before_deadline.map(milliseconds),
        cancel_before_deadline_ms = config.cancel_before_deadline.map(milliseconds),
        partial_response = config.partial_response.keyword(),
        all_failed = config.all_failed.keyword(),
        max_receive_count = config.max_receive_count,
        dead_letter_queue = dead_letters.map(DeadLetterQueue::name),
        cloudwatch_queue_latency = config.cloudwatch_queue_latency.keyword(),
        graceful_shutdown = config.graceful_shutdown.keyword(),
        "consumer started"
    );
}

/// Returns a duration in the unit of the environment variables.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
