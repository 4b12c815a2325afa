"""All telemetry arrives completely over each transport that the services support."""

import socket
import ssl

from authority import Authority
from bench import check, same
from collector import PORTS, Collector
from services import Producer, Services
from span_metrics import check_span_metrics
from whole import Arrived

# Enough for several batches in more than one environment.
REQUESTS = 20


def arrives_whole(bench, binaries, variables, overlay=None, before=None):
    """Runs both services against a Collector and checks that all telemetry arrives once.

    `variables` takes the Collector and returns the variables of the services.
    """
    folder = bench.folder()
    with Collector(bench.programs, folder, overlay) as collector:
        if before:
            before(collector)
        with Services(bench.programs, binaries, folder, variables(collector)) as services:
            services.onboard(REQUESTS)
            arrived = Arrived(collector, services)
            arrived.wait()
            check_span_metrics(collector, REQUESTS)
            services.stop()
        collector.stop()
        arrived.check_whole()
        arrived.check_once()


def receiving(protocol, **settings):
    """Returns an overlay that configures one protocol of the receiver."""
    return {"receivers": {"otlp": {"protocols": {protocol: settings}}}}


@check
def over_http(bench):
    """all three signals arrive over http/protobuf"""
    arrives_whole(bench, bench.programs.plain, lambda collector: {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint("http")})


@check
def logs_of_the_producer(bench):
    """a log record of the producer has the trace id and span id of its request"""
    folder = bench.folder()
    with Collector(bench.programs, folder) as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint("http")}
        with Producer(bench.programs.plain, folder, variables) as producer:
            request = producer.fail()
        collector.stop()
        [record] = records_of(request, collector)
        same((record.resource["service.name"], record.severity), ("onboarding-api", "WARN"), record)
        assert record.span in [span.id for span in spans_of(request, collector)], f"{record} is not in a span of the request"


def records_of(request, collector):
    return [record for record in collector.records() if record.trace == request.trace]


def spans_of(request, collector):
    return [span for span in collector.spans() if span.trace == request.trace]


@check
def over_http_with_gzip(bench):
    """all three signals arrive over http/protobuf with gzip at a Collector that accepts only gzip"""
    arrives_whole(
        bench,
        bench.programs.plain,
        lambda collector: {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint("http"),
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        },
        lambda _: receiving("http", compression_algorithms=["gzip"]),
    )


@check
def over_grpc(bench):
    """all three signals arrive over grpc, which port 4317 selects without a protocol variable"""
    arrives_whole(bench, bench.programs.grpc, lambda collector: {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint("grpc")})


@check
def over_grpc_with_gzip(bench):
    """all three signals arrive over grpc with gzip"""
    arrives_whole(
        bench,
        bench.programs.grpc,
        lambda collector: {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint("grpc"),
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        },
    )


@check
def a_transport_per_signal(bench):
    """each signal arrives over the transport that its own variables select"""
    arrives_whole(
        bench,
        bench.programs.grpc,
        lambda collector: {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.endpoint("grpc"),
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": collector.endpoint("http") + "/v1/metrics",
            "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": collector.endpoint("http") + "/v1/logs",
        },
    )


@check
def over_tls(bench):
    """all three signals arrive over TLS at a Collector that requires client certificates"""
    with_certificates(bench, bench.programs.plain, "http", lambda collector: collector.endpoint("http", "https://"))


@check
def over_grpc_with_tls(bench):
    """all three signals arrive over grpc with TLS, from an endpoint without a scheme"""
    with_certificates(bench, bench.programs.grpc, "grpc", lambda collector: collector.endpoint("grpc", ""))


def with_certificates(bench, binaries, protocol, endpoint):
    """Checks a transport with certificates of a private authority on both ends."""
    authority = Authority(bench.folder())
    client = authority.issue("services", "clientAuth")

    def overlay(host):
        server = authority.issue("collector", "serverAuth", host)
        files = {"cert_file": server.certificate, "key_file": server.key, "client_ca_file": authority.own.certificate}
        return receiving(protocol, tls={name: str(path) for name, path in files.items()})

    arrives_whole(
        bench,
        binaries,
        lambda collector: {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint(collector),
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(authority.own.certificate),
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(client.certificate),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(client.key),
        },
        overlay,
        lambda collector: check_client_authentication(collector, protocol, authority),
    )


def check_client_authentication(collector, protocol, authority):
    """Checks that the Collector refuses clients without a certificate."""
    context = ssl.create_default_context(cafile=authority.own.certificate)
    context.set_alpn_protocols(["h2"])
    refusal = None
    try:
        with socket.create_connection((collector.host, PORTS[protocol])) as plain:
            with context.wrap_socket(plain, server_hostname=collector.host) as stream:
                # In TLS 1.3 the alert arrives after the client has finished its handshake.
                stream.recv(1)
    except ssl.SSLError as error:
        refusal = error.reason
    same(refusal, "TLSV13_ALERT_CERTIFICATE_REQUIRED", "a client without a certificate")
