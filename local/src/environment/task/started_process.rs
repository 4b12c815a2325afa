//! The beginning of an environment: its Runtime API, and a process that can reach it.

use crate::environment::{
    Function, InvokeError,
    process::{FunctionProcess, ProcessOutput},
    runtime_api::RuntimeApi,
};

/// What runs once an environment has been started.
pub(super) struct StartedProcess {
    pub(super) api: RuntimeApi,
    pub(super) process: FunctionProcess,
    pub(super) output: ProcessOutput,
}

impl StartedProcess {
    pub(super) async fn start(function: &Function) -> Result<Self, InvokeError> {
        let api = RuntimeApi::listen(function)
            .await
            .map_err(|error| InvokeError::Init {
                error_type: "Runtime.ApiUnavailable".to_owned(),
                message: format!("cannot listen on loopback for the runtime api: {error}"),
            })?;
        let (process, output) =
            FunctionProcess::spawn(function, api.address).map_err(|error| InvokeError::Init {
                error_type: "Runtime.InvalidEntrypoint".to_owned(),
                message: format!("cannot start {}: {error}", function.binary.display()),
            })?;
        Ok(Self {
            api,
            process,
            output,
        })
    }
}
