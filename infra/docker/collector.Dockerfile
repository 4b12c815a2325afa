# The OpenTelemetry Collector with the configuration of this repository, and a health check that
# needs no shell. Build it in the root of the repository:
#
#   docker build --platform linux/arm64 -f infra/docker/collector.Dockerfile -t collector .
#
# For a release, pin both base images: --build-arg COLLECTOR_IMAGE=otel/opentelemetry-collector-contrib@sha256:...

ARG GO_IMAGE=docker.io/library/golang:1.26-bookworm
ARG COLLECTOR_IMAGE=docker.io/otel/opentelemetry-collector-contrib:0.159.0

FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src
COPY infra/collector/healthcheck ./
ARG TARGETARCH
# Static, because the collector's image has no C library.
RUN --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOARCH=$TARGETARCH go build -trimpath -ldflags="-s -w" -o /out/healthcheck .

FROM ${COLLECTOR_IMAGE}
COPY --from=build /out/healthcheck /healthcheck
# Readable for the user below, regardless of the files' permissions in the checkout.
COPY --chmod=0644 infra/collector/*.yaml /etc/otelcol/
COPY --chmod=0644 infra/collector/backends/*.yaml /etc/otelcol/backends/
USER 10001:10001
EXPOSE 4317 4318 8888 13133
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["/healthcheck"]
# For another role or backend, choose other files.
CMD ["--config=/etc/otelcol/base.yaml", "--config=/etc/otelcol/span-metrics-grafana.yaml", "--config=/etc/otelcol/backends/otlp.yaml"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="collector" \
      org.opencontainers.image.description="OpenTelemetry Collector with the configuration of the onboarding services" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
