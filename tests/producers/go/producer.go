// Sends messages with the AWS SDK for Go v2 and otelaws, and prints the messages and the producer's
// spans as one line of JSON.
//
//	producer PROPAGATORS QUEUE_URL
//
// PROPAGATORS is tracecontext or xray: the program's global propagator.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/url"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"go.opentelemetry.io/contrib/instrumentation/github.com/aws/aws-sdk-go-v2/otelaws"
	"go.opentelemetry.io/contrib/propagators/aws/xray"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

const body = `{"customer_id": "c-1", "email": "c-1@example.com", "plan": "team"}`

var propagators = map[string]propagation.TextMapPropagator{
	"tracecontext": propagation.TraceContext{},
	"xray":         xray.Propagator{},
}

type message struct {
	Case    string `json:"case"`
	ID      string `json:"id"`
	TraceID string `json:"trace_id"`
}

type span struct {
	TraceID string `json:"trace_id"`
	SpanID  string `json:"span_id"`
	Name    string `json:"name"`
}

func main() {
	messages, spans, err := run(context.Background(), propagators[os.Args[1]], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	sent, err := json.Marshal(map[string]any{"messages": messages, "spans": spans})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(sent))
}

func run(ctx context.Context, propagator propagation.TextMapPropagator, queueURL string) ([]message, []span, error) {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagator)
	client, err := client(ctx, queueURL)
	if err != nil {
		return nil, nil, err
	}
	messages := []message{}
	for name, action := range map[string]func(context.Context) ([]string, error){
		"single": func(ctx context.Context) ([]string, error) { return send(ctx, client, queueURL, 0) },
		"batch":  func(ctx context.Context) ([]string, error) { return sendBatch(ctx, client, queueURL) },
		"eight":  func(ctx context.Context) ([]string, error) { return send(ctx, client, queueURL, 8) },
		"ten":    func(ctx context.Context) ([]string, error) { return send(ctx, client, queueURL, 10) },
	} {
		inside, started := provider.Tracer("producer").Start(ctx, name)
		ids, err := action(inside)
		started.End()
		if err != nil {
			return nil, nil, err
		}
		for _, id := range ids {
			messages = append(messages, message{name, id, started.SpanContext().TraceID().String()})
		}
	}
	spans := []span{}
	for _, ended := range exporter.GetSpans() {
		spans = append(spans, span{ended.SpanContext.TraceID().String(), ended.SpanContext.SpanID().String(), ended.Name})
	}
	return messages, spans, nil
}

func client(ctx context.Context, queueURL string) (*sqs.Client, error) {
	endpoint, err := url.Parse(queueURL)
	if err != nil {
		return nil, err
	}
	configuration, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	otelaws.AppendMiddlewares(&configuration.APIOptions, otelaws.WithAttributeBuilder(otelaws.SQSAttributeBuilder))
	return sqs.NewFromConfig(configuration, func(options *sqs.Options) {
		options.BaseEndpoint = aws.String(endpoint.Scheme + "://" + endpoint.Host)
	}), nil
}

func send(ctx context.Context, client *sqs.Client, queueURL string, count int) ([]string, error) {
	attributes := map[string]types.MessageAttributeValue{}
	for number := range count {
		name := fmt.Sprintf("a%d", number)
		attributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String("x")}
	}
	sent, err := client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl:          aws.String(queueURL),
		MessageBody:       aws.String(body),
		MessageAttributes: attributes,
	})
	if err != nil {
		return nil, err
	}
	return []string{*sent.MessageId}, nil
}

func sendBatch(ctx context.Context, client *sqs.Client, queueURL string) ([]string, error) {
	entries := []types.SendMessageBatchRequestEntry{}
	for _, id := range []string{"0", "1"} {
		entries = append(entries, types.SendMessageBatchRequestEntry{Id: aws.String(id), MessageBody: aws.String(body)})
	}
	sent, err := client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: aws.String(queueURL), Entries: entries})
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, entry := range sent.Successful {
		ids = append(ids, *entry.MessageId)
	}
	return ids, nil
}
