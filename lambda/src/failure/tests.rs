//! Classes and texts of failures.

use std::io;
use std::sync::Arc;

use super::*;

#[derive(Debug, thiserror::Error)]
enum OnboardError {
    #[error("the address is invalid")]
    BadAddress,
    #[error("the store is busy")]
    Busy,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot onboard the customer")]
struct CannotOnboard(#[source] BoxError);

#[derive(Debug, thiserror::Error)]
enum Transparent {
    #[error(transparent)]
    Inner(#[from] OnboardError),
}

const BAD_ADDRESS: Class = Class::permanent("bad_address");

fn classifiers() -> Classifiers {
    let mut classifiers = Classifiers::default();
    classifiers.add(|error: &OnboardError| match error {
        OnboardError::BadAddress => Some(BAD_ADDRESS),
        OnboardError::Busy => None,
    });
    classifiers.add(|_: &serde_json::Error| Class::permanent("invalid_json"));
    classifiers
}

fn classify(failure: impl Into<Failure>) -> Class {
    failure.into().classify(&classifiers())
}

fn fails() -> Result<(), Failure> {
    Err(io::Error::other(io::Error::other("the cause")))?;
    Ok(())
}

#[test]
fn an_error_becomes_a_retryable_failure_with_the_name_of_its_type() {
    let failure = fails().unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Retryable);
    assert_eq!(failure.error_type(), "std::io::error::Error");
    assert_eq!(failure.to_string(), "the cause");
}

#[test]
fn an_error_without_a_type_is_of_type_other() {
    let boxed: BoxError = "text".into();
    for failure in [
        Failure::from(boxed),
        Failure::from("text"),
        Failure::from("text".to_owned()),
    ] {
        assert_eq!(failure.class(), Class::retry("_OTHER"));
        assert_eq!(failure.to_string(), "text");
    }
    assert_eq!(
        Failure::from(anyhow::anyhow!("text")).error_type(),
        "anyhow::Error"
    );
}

#[test]
fn a_classifier_finds_its_error_in_every_wrapper() {
    let error = || OnboardError::BadAddress;
    let boxed: BoxError = Box::new(error());
    assert_eq!(classify(error()), BAD_ADDRESS);
    assert_eq!(classify(boxed), BAD_ADDRESS);
    assert_eq!(classify(anyhow::Error::from(error())), BAD_ADDRESS);
    assert_eq!(
        classify(anyhow::Error::from(error()).context("cannot onboard")),
        BAD_ADDRESS
    );
    assert_eq!(classify(CannotOnboard(error().into())), BAD_ADDRESS);
    assert_eq!(classify(io::Error::other(error())), BAD_ADDRESS);
    let report = eyre::Report::from(error()).wrap_err("cannot onboard");
    assert_eq!(classify(report), BAD_ADDRESS);
    assert_eq!(classify(Box::new(error())), BAD_ADDRESS);
    assert_eq!(classify(Arc::new(error())), BAD_ADDRESS);
    let double: BoxError = Box::new(Box::new(error()));
    assert_eq!(classify(double), BAD_ADDRESS);
    let source: BoxError = Box::new(Arc::new(error()));
    assert_eq!(classify(CannotOnboard(source)), BAD_ADDRESS);
}

#[test]
fn the_documented_limits_of_classifiers_are_real() {
    let error = || OnboardError::BadAddress;
    assert_eq!(
        classify(eyre::Report::from(error())),
        Class::retry("eyre::Report")
    );
    let class = classify(Transparent::from(error()));
    assert!(class.error_type().ends_with("Transparent"), "{class:?}");
}

#[test]
fn an_error_that_its_classifier_leaves_out_is_retryable() {
    let class = classify(OnboardError::Busy);
    assert_eq!(class.kind(), FailureKind::Retryable);
    assert!(class.error_type().ends_with("OnboardError"), "{class:?}");
}

#[test]
fn the_class_of_a_failure_precedes_its_classifiers() {
    let failure = Failure::retry("later", OnboardError::BadAddress);
    assert_eq!(classify(failure), Class::retry("later"));
}

#[test]
fn the_outermost_class_decides() {
    let marked = || Err::<(), _>(OnboardError::BadAddress).retry("later");
    assert_eq!(classify(marked().unwrap_err()), Class::retry("later"));
    let outer = marked().permanent("never").unwrap_err();
    assert_eq!(classify(outer), Class::permanent("never"));
    let inner = CannotOnboard(marked().unwrap_err().into());
    assert_eq!(classify(inner), Class::retry("later"));
}

#[test]
fn a_class_travels_through_anyhow_eyre_boxes_and_sources() {
    let class = Class::permanent("no_file");
    let marked = || {
        let error = Err::<(), _>(io::Error::other("absent")).permanent("no_file");
        error.unwrap_err()
    };
    let boxed: BoxError = Box::new(marked());
    assert_eq!(classify(marked()), class);
    assert_eq!(classify(boxed), class);
    assert_eq!(classify(anyhow::Error::from(marked())), class);
    assert_eq!(
        classify(anyhow::Error::from(marked()).context("cannot import")),
        class
    );
    assert_eq!(classify(CannotOnboard(marked().into())), class);
    let report = eyre::Report::from(marked()).wrap_err("cannot import");
    let failure = Failure::from(report);
    assert_eq!(failure.class(), class);
    assert_eq!(failure.to_string(), "cannot import: absent");
}

#[test]
fn a_failure_survives_the_way_through_an_error() {
    for failure in [
        Failure::permanent("bad_address", "nowhere"),
        fails().unwrap_err(),
    ] {
        let (class, text) = (failure.class(), failure.to_string());
        let boxed: BoxError = failure.into_error().into();
        let failure = Failure::from(boxed);
        assert_eq!((failure.class(), failure.to_string()), (class, text));
    }
}

#[test]
fn a_json_error_does_not_repeat_values() {
    let error = || serde_json::from_str::<u8>("\"ada@example.com\"").unwrap_err();
    let text = "invalid JSON: data error at line 1 column 17";
    let failure = Failure::from(error());
    assert_eq!(failure.to_string(), text);
    assert!(!format!("{failure:?}").contains("ada"));
    assert_eq!(Failure::retry("parse", error()).to_string(), text);
    assert_eq!(
        Failure::from(anyhow::Error::from(error())).to_string(),
        text
    );
    let wrapped = Failure::from(CannotOnboard(error().into()).into_anyhow_context());
    assert_eq!(
        wrapped.to_string(),
        format!("outer: cannot onboard the customer: {text}")
    );
    assert_eq!(classify(error()), Class::permanent("invalid_json"));
    for wrapped in [
        Failure::from(io::Error::from(error())),
        Failure::from(Box::new(error())),
        Failure::from(Arc::new(error())),
        Failure::retry("io", io::Error::from(error())),
    ] {
        assert_eq!(wrapped.to_string(), text);
    }
    let hidden = Err::<(), _>(anyhow::Error::from(error()));
    assert_eq!(hidden.retry("parse").unwrap_err().to_string(), text);
    let marked = Err::<(), _>(error()).permanent("parse").unwrap_err();
    assert_eq!(marked.to_string(), text);
    assert!(!format!("{marked:?}").contains("ada"));
}

impl CannotOnboard {
    fn into_anyhow_context(self) -> anyhow::Error {
        anyhow::Error::from(self).context("outer")
    }
}

#[test]
fn the_name_of_a_generic_error_has_no_parameters() {
    #[derive(Debug, thiserror::Error)]
    #[error("generic")]
    struct Generic<T: fmt::Debug>(T);
    let failure = Failure::from(Generic(0_u8));
    assert!(
        failure.error_type().ends_with("Generic"),
        "{}",
        failure.error_type()
    );
}
