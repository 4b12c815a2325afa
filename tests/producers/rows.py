"""The producers, and the expected parents and links of their messages' spans.

Each case has two outcomes: one for a function with the default propagators, and one for a function with
OTEL_PROPAGATORS=tracecontext,baggage,xray. An outcome names the producer's span that is the parent of the message's span, and the
producer's span that the message's span links to in addition to the batch span.
"""

from dataclasses import dataclass, field

# The header that every AWS SDK sends from inside a Lambda function, even if the function is not
# traced.
LAMBDA_TRACE_ID, LAMBDA_SPAN_ID = "5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
LAMBDA = {
    "AWS_LAMBDA_FUNCTION_NAME": "producer",
    "_X_AMZN_TRACE_ID": f"Root=1-{LAMBDA_TRACE_ID[:8]}-{LAMBDA_TRACE_ID[8:]};Parent={LAMBDA_SPAN_ID};Sampled=0",
}
# The span in that header, which no exporter receives.
LAMBDA_SPAN = {"trace_id": LAMBDA_TRACE_ID, "span_id": LAMBDA_SPAN_ID, "name": "Lambda"}


@dataclass(frozen=True)
class Outcome:
    """Names of the producer's spans that are the parent and the link of the message's span."""

    parent: str = None
    link: str = None


NOTHING = (Outcome(), Outcome())


def parent(name):
    """The message attributes carry a context."""
    return Outcome(parent=name), Outcome(parent=name)


def header(name):
    """The message carries only an AWSTraceHeader."""
    return Outcome(link=name), Outcome(parent=name)


def both(name, header_name):
    """The message carries an AWSTraceHeader and a context in its attributes."""
    return (Outcome(parent=name, link=header_name),) * 2


@dataclass(frozen=True)
class Row:
    """One producer: its command, and the expected outcomes of each case."""

    title: str
    command: list
    cases: dict
    variables: dict = field(default_factory=dict)


def cases(single, batch, eight, ten):
    """`eight` and `ten` are messages on which the caller has set that many attributes."""
    return {"single": single, "batch": batch, "eight": eight, "ten": ten}


def boto3(work, here):
    new, old = ([work / name / "bin/python", here / "boto3/producer.py"] for name in ("boto3", "boto3-old"))
    send, call, batch_call = "onboarding send", "SQS.SendMessage", "SQS.SendMessageBatch"
    in_header = cases(header(call), header(batch_call), header(call), header(call))
    in_both = cases(both(send, call), both(send, batch_call), both(send, call), header(call))
    return [
        Row("boto3", [*new, "none"], cases(*[NOTHING] * 4)),
        Row("boto3 in a Lambda function", [*new, "none"], cases(*[header("Lambda")] * 4), LAMBDA),
        Row("boto3, botocore", [*new, "botocore"], in_header),
        Row("boto3, boto3sqs", [*new, "boto3sqs"], cases(*[parent(send)] * 3, NOTHING)),
        Row("boto3, botocore and boto3sqs", [*new, "botocore,boto3sqs"], in_both),
        Row("boto3, old boto3sqs", [*old, "boto3sqs"], cases(*[parent(send)] * 3, NOTHING)),
        Row("boto3, botocore and old boto3sqs", [*old, "botocore,boto3sqs"], in_both),
    ]


def node(work, _here):
    command = ["node", work / "node/producer.js"]
    sent = cases(*[parent("onboarding send")] * 2, NOTHING, NOTHING)
    return [
        Row("Node", [*command, "tracecontext,baggage"], sent),
        Row("Node, with xray listed", [*command, "tracecontext,baggage,xray"], sent),
        Row("Node, xray alone", [*command, "xray"], cases(*[NOTHING] * 4)),
    ]


def java(work, _here):
    command = ["java", "-cp", f"{work}/java/target/dependency/*", work / "java/Producer.java"]
    send = "onboarding publish"
    switch = {"OTEL_INSTRUMENTATION_AWS_SDK_EXPERIMENTAL_USE_PROPAGATOR_FOR_MESSAGING": "true"}
    in_both = cases(*[both(send, send)] * 3, header(send))
    return [
        Row("Java", command, cases(*[header(send)] * 4)),
        Row("Java, with the propagator for messaging", command, in_both, switch),
    ]


def go(work, _here):
    command = [work / "go/producer"]
    call, batch_call = "SQS.SendMessage", "SQS.SendMessageBatch"
    in_header = cases(header(call), header(batch_call), header(call), header(call))
    return [
        Row("Go, tracecontext", [*command, "tracecontext"], cases(*[NOTHING] * 4)),
        Row("Go, xray", [*command, "xray"], in_header),
    ]


ROWS = {"boto3": boto3, "node": node, "java": java, "go": go}
