# shellcheck shell=bash disable=SC2034 # The scripts that source this file use the variables.
# The chart that the scripts in this folder install and render.

CHART=otel-integration
CHART_VERSION=0.0.331
CHART_REPOSITORY=https://cgx.jfrog.io/artifactory/coralogix-charts-virtual
RELEASE=coralogix
NAMESPACE=observability
# The secret that otel-integration-values.yaml names, in the namespace of the release.
SECRET=coralogix-keys
SECRET_KEY=PRIVATE_KEY
