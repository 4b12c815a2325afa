//! Actions of the API: one function per action, from JSON to JSON.

use super::error::SqsError;

mod json;
mod queues;
mod receipt_handle;
mod receive;
mod send;

pub(crate) use self::json::ActionRequest;

/// Runs an action and returns the JSON of its response.
///
/// # Errors
///
/// Returns the action's own error, `UnsupportedOperation` for actions of AWS that this endpoint
/// does not implement, or `UnknownOperation` for other names.
pub(crate) async fn dispatch(
    action: &str,
    request: &ActionRequest<'_>,
) -> Result<Vec<u8>, SqsError> {
    match action {
        "CreateQueue" => queues::create_queue(request),
        "GetQueueUrl" => queues::get_queue_url(request),
        "ListQueues" => queues::list_queues(request),
        "DeleteQueue" => queues::delete_queue(request),
        "GetQueueAttributes" => queues::get_queue_attributes(request),
        "SetQueueAttributes" => queues::set_queue_attributes(request),
        "PurgeQueue" => queues::purge_queue(request),
        "SendMessage" => send::send_message(request),
        "SendMessageBatch" => send::send_message_batch(request),
        "ReceiveMessage" => receive::receive_message(request).await,
        "DeleteMessage" => receipt_handle::delete_message(request),
        "DeleteMessageBatch" => receipt_handle::delete_message_batch(request),
        "ChangeMessageVisibility" => receipt_handle::change_message_visibility(request),
        "ChangeMessageVisibilityBatch" => receipt_handle::change_message_visibility_batch(request),
        "AddPermission"
        | "RemovePermission"
        | "TagQueue"
        | "UntagQueue"
        | "ListQueueTags"
        | "ListDeadLetterSourceQueues"
        | "StartMessageMoveTask"
        | "CancelMessageMoveTask"
        | "ListMessageMoveTasks" => Err(SqsError::UnsupportedOperation(format!(
            "{action} is not supported by this endpoint."
        ))),
        _ => Err(SqsError::UnknownOperation(format!(
            "The action {action} is not valid for this endpoint."
        ))),
    }
}
