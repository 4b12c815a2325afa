import io.opentelemetry.api.baggage.propagation.W3CBaggagePropagator;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.Scope;
import io.opentelemetry.context.propagation.ContextPropagators;
import io.opentelemetry.context.propagation.TextMapPropagator;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.testing.exporter.InMemorySpanExporter;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import java.net.URI;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import software.amazon.awssdk.services.sqs.SqsClient;
import software.amazon.awssdk.services.sqs.model.MessageAttributeValue;
import software.amazon.awssdk.services.sqs.model.SendMessageBatchRequestEntry;

/**
 * Sends messages with the AWS SDK for Java 2, and prints the messages and the producer's spans as one
 * line of JSON.
 *
 * <p>The only argument is the URL of the queue. The instrumentation activates itself when it is on the
 * class path.
 */
public final class Producer {
  private static final String BODY =
      "{\"customer_id\": \"c-1\", \"email\": \"c-1@example.com\", \"plan\": \"team\"}";

  private final String queueUrl;
  private final SqsClient sqs;

  private Producer(String queueUrl) {
    this.queueUrl = queueUrl;
    URI endpoint = URI.create(queueUrl).resolve("/");
    this.sqs = SqsClient.builder().endpointOverride(endpoint).build();
  }

  public static void main(String[] arguments) {
    InMemorySpanExporter exporter = InMemorySpanExporter.create();
    TextMapPropagator propagator =
        TextMapPropagator.composite(
            W3CTraceContextPropagator.getInstance(), W3CBaggagePropagator.getInstance());
    SdkTracerProvider provider =
        SdkTracerProvider.builder().addSpanProcessor(SimpleSpanProcessor.create(exporter)).build();
    OpenTelemetrySdk sdk =
        OpenTelemetrySdk.builder()
            .setTracerProvider(provider)
            .setPropagators(ContextPropagators.create(propagator))
            .buildAndRegisterGlobal();
    Producer producer = new Producer(arguments[0]);
    Map<String, Supplier<Stream<String>>> cases =
        Map.of(
            "single", () -> producer.send(0),
            "batch", producer::sendBatch,
            "eight", () -> producer.send(8),
            "ten", () -> producer.send(10));
    Tracer tracer = sdk.getTracer("producer");
    List<String> messages = new ArrayList<>();
    cases.forEach(
        (name, action) -> {
          Span span = tracer.spanBuilder(name).startSpan();
          try (Scope ignored = span.makeCurrent()) {
            String traceId = span.getSpanContext().getTraceId();
            action
                .get()
                .map(id -> object("case", name, "id", id, "trace_id", traceId))
                .forEach(messages::add);
          } finally {
            span.end();
          }
        });
    List<String> spans =
        exporter.getFinishedSpanItems().stream()
            .map(
                span ->
                    object(
                        "trace_id", span.getTraceId(),
                        "span_id", span.getSpanId(),
                        "name", span.getName()))
            .collect(Collectors.toList());
    System.out.println("{\"messages\": " + messages + ", \"spans\": " + spans + "}");
  }

  private Stream<String> send(int count) {
    Map<String, MessageAttributeValue> attributes = new HashMap<>();
    for (int number = 0; number < count; number++) {
      attributes.put(
          "a" + number,
          MessageAttributeValue.builder().dataType("String").stringValue("x").build());
    }
    return Stream.of(
        sqs.sendMessage(
                message ->
                    message.queueUrl(queueUrl).messageBody(BODY).messageAttributes(attributes))
            .messageId());
  }

  private Stream<String> sendBatch() {
    List<SendMessageBatchRequestEntry> entries =
        Stream.of("0", "1")
            .map(id -> SendMessageBatchRequestEntry.builder().id(id).messageBody(BODY).build())
            .collect(Collectors.toList());
    return sqs
        .sendMessageBatch(batch -> batch.queueUrl(queueUrl).entries(entries))
        .successful()
        .stream()
        .map(entry -> entry.messageId());
  }

  /** Returns a JSON object of names and values that need no escapes. */
  private static String object(String... texts) {
    List<String> members = new ArrayList<>();
    for (int index = 0; index < texts.length; index += 2) {
      members.add("\"" + texts[index] + "\": \"" + texts[index + 1] + "\"");
    }
    return "{" + String.join(", ", members) + "}";
  }
}
