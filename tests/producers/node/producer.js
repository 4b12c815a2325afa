// Sends messages with the AWS SDK for JavaScript v3, and prints the messages and the producer's spans
// as one line of JSON.
//
//     producer.js PROPAGATORS QUEUE_URL
//
// PROPAGATORS is a list such as `tracecontext,baggage`, in the format of OTEL_PROPAGATORS.
"use strict";

const { trace } = require("@opentelemetry/api");
const { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } = require("@opentelemetry/core");
const { registerInstrumentations } = require("@opentelemetry/instrumentation");
const { AwsInstrumentation } = require("@opentelemetry/instrumentation-aws-sdk");
const { AWSXRayPropagator } = require("@opentelemetry/propagator-aws-xray");
const { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } = require("@opentelemetry/sdk-trace-node");

const BODY = JSON.stringify({ customer_id: "c-1", email: "c-1@example.com", plan: "team" });
const PROPAGATORS = {
  tracecontext: W3CTraceContextPropagator,
  baggage: W3CBaggagePropagator,
  xray: AWSXRayPropagator,
};

const [names, url] = process.argv.slice(2);
const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
const propagators = names.split(",").map((name) => new PROPAGATORS[name]());
provider.register({ propagator: new CompositePropagator({ propagators }) });
registerInstrumentations({ instrumentations: [new AwsInstrumentation()] });

// Loaded after the instrumentation, which patches the SDK as it loads.
const { SQSClient, SendMessageBatchCommand, SendMessageCommand } = require("@aws-sdk/client-sqs");

function attributes(count) {
  const names = Array.from({ length: count }, (_, number) => `a${number}`);
  return Object.fromEntries(names.map((name) => [name, { DataType: "String", StringValue: "x" }]));
}

async function send(sqs, count) {
  const command = new SendMessageCommand({ QueueUrl: url, MessageBody: BODY, MessageAttributes: attributes(count) });
  return [(await sqs.send(command)).MessageId];
}

async function sendBatch(sqs) {
  const entries = ["0", "1"].map((id) => ({ Id: id, MessageBody: BODY }));
  const sent = await sqs.send(new SendMessageBatchCommand({ QueueUrl: url, Entries: entries }));
  return sent.Successful.map((entry) => entry.MessageId);
}

async function main() {
  const tracer = trace.getTracer("producer");
  const sqs = new SQSClient({ endpoint: new URL(url).origin });
  const cases = {
    single: () => send(sqs, 0),
    batch: () => sendBatch(sqs),
    eight: () => send(sqs, 8),
    ten: () => send(sqs, 10),
  };
  const messages = [];
  for (const [name, action] of Object.entries(cases)) {
    await tracer.startActiveSpan(name, async (span) => {
      const ids = await action();
      messages.push(...ids.map((id) => ({ case: name, id, trace_id: span.spanContext().traceId })));
      span.end();
    });
  }
  const spans = exporter.getFinishedSpans().map((span) => ({
    trace_id: span.spanContext().traceId,
    span_id: span.spanContext().spanId,
    name: span.name,
  }));
  console.log(JSON.stringify({ messages, spans }));
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
