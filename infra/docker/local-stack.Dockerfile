# The local stack with the onboarding function: a queue, its event source mapping and the execution
# environments of the function, for infra/compose.yaml. It is not for a deployment. Build it in the
# root of the repository:
#
#   docker build -f infra/docker/local-stack.Dockerfile -t local-stack .
#
# The queue listens on loopback only. The producer must share the network namespace of the stack.

ARG RUST_IMAGE=docker.io/library/rust:1.95-bookworm
# The Debian release must not be older than that of RUST_IMAGE, because the binaries need the C
# library that they were linked with.
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS build
WORKDIR /src
COPY infra/docker/compile.sh /usr/local/bin/
ARG TARGETARCH
RUN compile.sh tools
COPY . .
# The profile of `cargo baton`: only the function is optimised.
ARG PROFILE=demo
RUN --mount=type=cache,sharing=locked,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    BINARY=baton compile.sh package baton-local && compile.sh package onboarding-lambda

FROM ${BASE_IMAGE}
COPY --from=build /out/baton /out/onboarding-lambda /usr/local/bin/
USER 10001:10001
ENTRYPOINT ["/usr/local/bin/baton"]
CMD ["up", "--function", "/usr/local/bin/onboarding-lambda", "--no-producer"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="local-stack" \
      org.opencontainers.image.description="Queue, event source mapping and execution environments with the onboarding function" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
