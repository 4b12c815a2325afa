//! What wraps a body (placeholder until merged).

/// What a message's body is wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Envelope {
    /// Nothing.
    #[default]
    None,
    /// An SNS notification.
    Sns,
    /// An EventBridge event.
    EventBridge,
}
