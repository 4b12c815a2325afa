# The onboarding API. Build it in the root of the repository, for the architecture of the cluster:
#
#   docker build --platform linux/arm64 -f infra/docker/onboarding-api.Dockerfile -t onboarding-api .
#
# For a release, pin both base images: --build-arg RUST_IMAGE=docker.io/library/rust@sha256:...

ARG RUST_IMAGE=docker.io/library/rust:1.95-bookworm
# Debian's C library and certificates, without a shell. The Debian release must not be older than
# that of RUST_IMAGE, because the binary needs the C library that it was linked with.
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS build
WORKDIR /src
COPY infra/docker/compile.sh /usr/local/bin/
ARG TARGETARCH
RUN compile.sh tools
COPY . .
# The profile `dev` compiles faster, for tests.
ARG PROFILE=release
# `secrets,profiling` with PROFILE=profiling for CPU profiles: see docs/profiling.md.
ARG FEATURES=secrets
RUN --mount=type=cache,sharing=locked,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    compile.sh package onboarding-api --features "$FEATURES"

FROM ${BASE_IMAGE}
COPY --from=build /out/onboarding-api /usr/local/bin/onboarding-api
USER 10001:10001
EXPOSE 8080
# For Docker and Compose. ECS and Kubernetes have their own health checks.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/usr/local/bin/onboarding-api", "health"]
ENTRYPOINT ["/usr/local/bin/onboarding-api"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="onboarding-api" \
      org.opencontainers.image.description="HTTP service that sends each accepted onboarding to the queue" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
