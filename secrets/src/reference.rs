//! Which secret, in which service.

/// The service that keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    SecretsManager,
    ParameterStore,
}

/// A text that names no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an ARN such as arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME or arn:aws:ssm:REGION:ACCOUNT:parameter/NAME, found {0}"
)]
pub struct InvalidReference(&'static str);

/// An ARN, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    arn: String,
    pub(crate) service: Service,
    pub(crate) partition: String,
    pub(crate) region: String,
}

impl Reference {
    /// Says what is wrong without repeating the text: it may be the secret itself.
    pub(crate) fn parse(arn: &str) -> Result<Self, InvalidReference> {
        let mut parts = arn.splitn(6, ':');
        let mut part = || parts.next().unwrap_or_default();
        let (prefix, partition, service) = (part(), part(), part());
        let (region, account, resource) = (part(), part(), part());
        if prefix != "arn" {
            return Err(InvalidReference("a text that does not begin with arn:"));
        }
        let service = match service {
            "secretsmanager" => Service::SecretsManager,
            "ssm" => Service::ParameterStore,
            _ => return Err(InvalidReference("an ARN of another service")),
        };
        if !is_name(partition) || !is_name(region) {
            return Err(InvalidReference("an ARN without partition or region"));
        }
        if account.is_empty() || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidReference("an ARN without an account's number"));
        }
        service.check(resource)?;
        Ok(Self {
            arn: arn.to_owned(),
            service,
            partition: partition.to_owned(),
            region: region.to_owned(),
        })
    }

    pub(crate) fn arn(&self) -> &str {
        &self.arn
    }
}

impl Service {
    fn check(self, resource: &str) -> Result<(), InvalidReference> {
        let name = match self {
            Self::SecretsManager => resource.strip_prefix("secret:"),
            Self::ParameterStore => resource.strip_prefix("parameter/"),
        };
        match name {
            None | Some("") => Err(InvalidReference("an ARN that names nothing to read")),
            // ECS picks a member of a secret in this way. Here the members are the headers.
            Some(name) if self == Self::SecretsManager && name.contains(':') => Err(
                InvalidReference("an ARN with more behind the secret's name"),
            ),
            Some(_) => Ok(()),
        }
    }
}

/// Whether it may stand in the name of a host.
fn is_name(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_of_either_service_is_taken_apart() {
        for (arn, service) in [
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:otlp/key-AbCdEf",
                Service::SecretsManager,
            ),
            (
                "arn:aws:ssm:eu-west-1:123456789012:parameter/otlp/key",
                Service::ParameterStore,
            ),
        ] {
            let reference = Reference::parse(arn).unwrap();
            assert_eq!((reference.arn(), reference.service), (arn, service));
            assert_eq!(reference.region, "eu-west-1");
            assert_eq!(reference.partition, "aws");
        }
    }

    #[test]
    fn what_names_no_secret_is_refused_with_the_reason_and_not_repeated() {
        for (text, reason) in [
            ("authorization=Bearer KEY", "begin with arn:"),
            ("KEY", "begin with arn:"),
            ("arn:aws:s3:::KEY", "another service"),
            ("arn:aws:ssm::123456789012:parameter/KEY", "region"),
            ("arn:aws:ssm:x.evil/:123456789012:parameter/KEY", "region"),
            ("arn:aws:ssm:eu-west-1::parameter/KEY", "account"),
            ("arn:aws:ssm:eu-west-1:123456789012:KEY", "nothing"),
            ("arn:aws:ssm:eu-west-1:123456789012:parameter/", "nothing"),
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x:KEY::",
                "behind",
            ),
        ] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(error.contains("arn:aws:ssm:REGION"), "{error}");
            assert!(!error.contains("KEY"), "{error}");
        }
    }
}
