# The onboarding function as a container image (--package-type Image). Build it in the root of the
# repository, for the architecture of the function:
#
#   docker build --platform linux/arm64 --provenance=false -f infra/docker/onboarding-lambda.Dockerfile -t onboarding-lambda .
#
# Lambda does not accept the image index that BuildKit creates for the provenance.
# For a release, pin both base images: --build-arg RUST_IMAGE=docker.io/library/rust@sha256:...

ARG RUST_IMAGE=docker.io/library/rust:1.95-bookworm
# The base images of Lambda are not needed, because the function implements the Runtime API itself.
# The Debian release must not be older than that of RUST_IMAGE, because the binary needs the C
# library that it was linked with.
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS build
WORKDIR /src
COPY infra/docker/compile.sh /usr/local/bin/
ARG TARGETARCH
RUN compile.sh tools
COPY . .
# The profile `dev` compiles faster, for tests.
ARG PROFILE=release
# The features of `[package.metadata.lambda.build]` in the manifest.
RUN --mount=type=cache,sharing=locked,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    compile.sh package onboarding-lambda --features dead-letter-queue,dynamodb,secrets

FROM ${BASE_IMAGE}
COPY --from=build /out/onboarding-lambda /var/runtime/bootstrap
# Lambda replaces this user with another one without privileges; other platforms use it.
USER 10001:10001
ENTRYPOINT ["/var/runtime/bootstrap"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="onboarding-lambda" \
      org.opencontainers.image.description="Lambda function that consumes the onboarding queue and stores customers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
