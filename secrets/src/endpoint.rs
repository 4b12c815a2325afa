//! Endpoints of the two services.

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

use crate::reference::Reference;

/// Returns the endpoint that the environment or the shared files configure, or else the regional
/// one.
pub(crate) fn url(config: &SdkConfig, reference: &Reference) -> String {
    let configured = configured(config, reference.store.service_id());
    configured.unwrap_or_else(|| {
        let is_fips = config.use_fips() == Some(true);
        let is_dual_stack = config.use_dual_stack() == Some(true);
        regional(reference, is_fips, is_dual_stack)
    })
}

/// Returns the service's `AWS_ENDPOINT_URL_…` or else `AWS_ENDPOINT_URL`, from the environment or
/// the profile.
fn configured(config: &SdkConfig, service_id: &str) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id(service_id)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let specific = key
        .ok()
        .and_then(|key| config.service_config()?.load_config(key));
    specific.or_else(|| config.endpoint_url().map(str::to_owned))
}

fn regional(reference: &Reference, is_fips: bool, is_dual_stack: bool) -> String {
    let (suffix, dual_stack_suffix) = suffixes(&reference.partition);
    let suffix = if is_dual_stack {
        dual_stack_suffix
    } else {
        suffix
    };
    let fips = if is_fips { "-fips" } else { "" };
    let (service, region) = (reference.store.signing_name(), &reference.region);
    format!("https://{service}{fips}.{region}.{suffix}")
}

/// Returns the DNS suffixes of a partition, without and with dual stack (the SDKs'
/// `partitions.json`).
fn suffixes(partition: &str) -> (&'static str, &'static str) {
    match partition {
        "aws-cn" => ("amazonaws.com.cn", "api.amazonwebservices.com.cn"),
        "aws-eusc" => ("amazonaws.eu", "api.amazonwebservices.eu"),
        "aws-iso" => ("c2s.ic.gov", "api.aws.ic.gov"),
        "aws-iso-b" => ("sc2s.sgov.gov", "api.aws.scloud"),
        _ => ("amazonaws.com", "api.aws"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_own_hosts() {
        for (arn, is_fips, is_dual_stack, expected) in [
            (
                "arn:aws:ssm:eu-west-1:123456789012:parameter/k",
                false,
                false,
                "https://ssm.eu-west-1.amazonaws.com",
            ),
            (
                "arn:aws:secretsmanager:us-east-1:123456789012:secret:k",
                true,
                false,
                "https://secretsmanager-fips.us-east-1.amazonaws.com",
            ),
            (
                "arn:aws:secretsmanager:us-east-1:123456789012:secret:k",
                false,
                true,
                "https://secretsmanager.us-east-1.api.aws",
            ),
            (
                "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/k",
                false,
                false,
                "https://ssm.cn-north-1.amazonaws.com.cn",
            ),
        ] {
            let reference = Reference::parse(arn).unwrap();
            assert_eq!(regional(&reference, is_fips, is_dual_stack), expected);
        }
    }
}
