//! ARNs of secrets, and the services that store them.

/// A service that stores secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretStore {
    SecretsManager,
    ParameterStore,
}

/// Error for a string that is not the ARN of a secret or a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an ARN such as arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME or arn:aws:ssm:REGION:ACCOUNT:parameter/NAME, found {0}"
)]
pub struct InvalidReference(&'static str);

/// A parsed ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    arn: String,
    pub(crate) store: SecretStore,
    pub(crate) partition: String,
    pub(crate) region: String,
}

impl Reference {
    /// Parses an ARN.
    ///
    /// # Errors
    ///
    /// Returns the reason without the text, which may be the secret itself.
    pub(crate) fn parse(arn: &str) -> Result<Self, InvalidReference> {
        let mut parts = arn.splitn(6, ':');
        let mut part = || parts.next().unwrap_or_default();
        let (prefix, partition, service) = (part(), part(), part());
        let (region, account, resource) = (part(), part(), part());
        if prefix != "arn" {
            return Err(InvalidReference("a text that does not start with arn:"));
        }
        let store = match service {
            "secretsmanager" => SecretStore::SecretsManager,
            "ssm" => SecretStore::ParameterStore,
            _ => return Err(InvalidReference("an ARN of another service")),
        };
        if !is_host_label(partition) || !is_host_label(region) {
            return Err(InvalidReference("an ARN without partition or region"));
        }
        if account.is_empty() || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidReference("an ARN without an account number"));
        }
        store.check_resource(resource)?;
        Ok(Self {
            arn: arn.to_owned(),
            store,
            partition: partition.to_owned(),
            region: region.to_owned(),
        })
    }

    pub(crate) fn arn(&self) -> &str {
        &self.arn
    }
}

impl SecretStore {
    /// Returns the service name in request signatures, which is also the first label of the
    /// endpoint.
    pub(crate) fn signing_name(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager",
            Self::ParameterStore => "ssm",
        }
    }

    /// Returns the service id of the SDKs' configuration, as in `AWS_ENDPOINT_URL_SECRETS_MANAGER`.
    pub(crate) fn service_id(self) -> &'static str {
        match self {
            Self::SecretsManager => "Secrets Manager",
            Self::ParameterStore => "SSM",
        }
    }

    /// Returns the operation that reads a secret.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::SecretsManager => "GetSecretValue",
            Self::ParameterStore => "GetParameter",
        }
    }

    /// Returns the header `x-amz-target` of the operation.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager.GetSecretValue",
            Self::ParameterStore => "AmazonSSM.GetParameter",
        }
    }

    /// Checks that the last part of an ARN names a secret or a parameter as a whole.
    fn check_resource(self, resource: &str) -> Result<(), InvalidReference> {
        let name = match self {
            Self::SecretsManager => resource.strip_prefix("secret:"),
            Self::ParameterStore => resource.strip_prefix("parameter/"),
        };
        match name {
            None | Some("") => Err(InvalidReference("an ARN without a name")),
            // ECS selects a member of a secret with such a suffix. Here, the members are headers.
            Some(name) if self == Self::SecretsManager && name.contains(':') => Err(
                InvalidReference("an ARN with a suffix after the secret's name"),
            ),
            Some(_) => Ok(()),
        }
    }
}

/// Returns `true` if `text` can be part of a host name, because the endpoint is built from it.
fn is_host_label(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_of_either_service_is_parsed() {
        for (arn, store) in [
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:otlp/key-AbCdEf",
                SecretStore::SecretsManager,
            ),
            (
                "arn:aws:ssm:eu-west-1:123456789012:parameter/otlp/key",
                SecretStore::ParameterStore,
            ),
        ] {
            let reference = Reference::parse(arn).unwrap();
            assert_eq!((reference.arn(), reference.store), (arn, store));
            assert_eq!(reference.region, "eu-west-1");
            assert_eq!(reference.partition, "aws");
        }
    }

    #[test]
    fn an_invalid_reference_is_rejected_with_a_reason_and_not_repeated() {
        for (text, reason) in [
            ("authorization=Bearer KEY", "start with arn:"),
            ("KEY", "start with arn:"),
            ("arn:aws:s3:::KEY", "another service"),
            ("arn:aws:ssm::123456789012:parameter/KEY", "region"),
            ("arn:aws:ssm:x.evil/:123456789012:parameter/KEY", "region"),
            ("arn:aws:ssm:eu-west-1::parameter/KEY", "account"),
            ("arn:aws:ssm:eu-west-1:123456789012:KEY", "without a name"),
            (
                "arn:aws:ssm:eu-west-1:123456789012:parameter/",
                "without a name",
            ),
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x:KEY::",
                "suffix",
            ),
        ] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(error.contains("arn:aws:ssm:REGION"), "{error}");
            assert!(!error.contains("KEY"), "{error}");
        }
    }
}
