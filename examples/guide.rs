//! The Rust blocks of the guide in `docs/`, as doc tests.

#![cfg(doctest)]

#[doc = include_str!("../docs/from-lambda-runtime.md")]
mod from_lambda_runtime {}

#[doc = include_str!("../docs/errors-and-retries.md")]
mod errors_and_retries {}

#[doc = include_str!("../docs/your-own-opentelemetry.md")]
mod your_own_opentelemetry {}

#[doc = include_str!("../docs/sending-with-the-aws-sdk.md")]
mod sending_with_the_aws_sdk {}

#[doc = include_str!("../docs/other-producers.md")]
mod other_producers {}

#[doc = include_str!("../docs/load.md")]
mod load {}

#[doc = include_str!("../docs/deploy.md")]
mod deploy {}

#[doc = include_str!("../docs/deploy-with-cargo-lambda.md")]
mod deploy_with_cargo_lambda {}

#[doc = include_str!("../docs/kubernetes.md")]
mod kubernetes {}

#[doc = include_str!("../docs/delivery.md")]
mod delivery {}

#[doc = include_str!("../docs/costs.md")]
mod costs {}

#[doc = include_str!("../docs/operate.md")]
mod operate {}

#[doc = include_str!("../docs/profiling.md")]
mod profiling {}

#[doc = include_str!("../docs/checklist.md")]
mod checklist {}
