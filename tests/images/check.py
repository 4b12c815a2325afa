#!/usr/bin/env python3
"""Starts the programs of the images, and checks the files and the settings of the images. Started by run.sh.

check.py IMAGES BATON
"""

import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from checks import outcome
from image import POLL_SECONDS, START_SECONDS, STOP_SECONDS, Image

USER = 10001
# Program in each image. All other files are those of the base image.
BINARIES = {
    "onboarding-api": "usr/local/bin/onboarding-api",
    "onboarding-lambda": "var/runtime/bootstrap",
    "local-stack": "usr/local/bin/baton",
    "collector": "healthcheck",
}
# Paths of the sources of the workspace and of dependencies in the build stage.
BUILD_PATHS = re.compile(rb"/src/(?:services/)?[a-z-]+/src/[a-z_/]*\.rs|/usr/local/(?:cargo|rustup|go)/[^\0 ]{0,40}|/src/main\.go")


def free_address():
    """Returns a loopback address with a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return "%s:%d" % listener.getsockname()


def identity(process):
    """Returns the user and group ids of a process, and its supplementary groups."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return {line.split()[0]: line.split()[1:] for line in status.splitlines() if line.startswith(("Uid", "Gid", "Groups"))}


def check_is_unprivileged(process):
    ids = [str(USER)] * 4
    found = identity(process)
    assert found == {"Uid:": ids, "Gid:": ids, "Groups:": []}, found


def api_serves(images, folder):
    """onboarding-api: serves /healthz as the image's user, and is healthy only while it runs"""
    image, log, address = images["onboarding-api"], folder / "api.log", free_address()
    variables = {
        "LISTEN_ADDR": address,
        "QUEUE_URL": "http://127.0.0.1:9/000000000000/queue",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    code, output = image.health(**variables)
    assert code == 1 and address in output, f"before the start: {code} {output}"
    with image.running(log, **variables) as process:
        image.becomes_healthy(process, log, **variables)
        check_is_unprivileged(process)
        with urllib.request.urlopen(f"http://{address}/healthz", timeout=5) as response:
            assert response.status == 200, response.status
    assert process.returncode == 0, f"exit code {process.returncode}: {log.read_text()[-2000:]}"
    code, output = image.health(**variables)
    assert code == 1, f"after the end: {code} {output}"


def collector_starts(images, folder):
    """collector: starts with the configuration in the image, and is healthy only while it runs"""
    image, log = images["collector"], folder / "collector.log"
    # A separate loopback address, because the ports are fixed.
    variables = {"OTLP_ENDPOINT": "http://127.0.0.1:9", "OTLP_LISTEN_HOST": "127.83.21.4"}
    code, output = image.health(**variables)
    assert code == 1 and "127.83.21.4:13133" in output, f"before the start: {code} {output}"
    with image.running(log, **variables) as process:
        image.becomes_healthy(process, log, **variables)
        check_is_unprivileged(process)
    assert process.returncode == 0, f"exit code {process.returncode}: {log.read_text()[-2000:]}"
    code, output = image.health(**variables)
    assert code == 1, f"after the end: {code} {output}"


def function_consumes(images, folder, baton):
    """onboarding-lambda: consumes a message of the queue as the image's user"""
    image = images["onboarding-lambda"]
    log, wrapper = folder / "function.log", folder / "function.sh"
    command = " ".join(f"'{word}'" for word in image.command(image.settings["Entrypoint"]))
    # `exec` keeps the process id, so that `baton up` can stop the function.
    wrapper.write_text(f"#!/bin/sh\nexec {command}\n")
    wrapper.chmod(0o755)
    with log.open("wb") as output:
        stack = subprocess.Popen([baton, "up", "--json", "--function", wrapper, "--concurrency", "1"], stdout=subprocess.PIPE, stderr=output, text=True)
    try:
        line = stack.stdout.readline()
        assert line, f"`baton up` exited: {log.read_text()[-2000:]}"
        endpoints = json.loads(line)
        message = {"customer_id": "c-1", "email": "a@example.com", "plan": "starter"}
        sqs(endpoints, "SendMessage", QueueUrl=endpoints["queue_url"], MessageBody=json.dumps(message))
        spans = wait_for(lambda: [span for span in spans_of(endpoints) if span["name"] == "put onboardings"], log)
        assert spans[0]["attributes"].get("error.type") is None, spans
    finally:
        stack.send_signal(signal.SIGTERM)
        stack.wait(STOP_SECONDS)


def local_stack_stores(images, folder):
    """local-stack: its function stores what onboarding-api accepts, in the same trace"""
    stack, api, address = images["local-stack"], images["onboarding-api"], free_address()
    log, api_log = folder / "local-stack.log", folder / "api-of-stack.log"
    with stack.running(log, "--json") as process:
        endpoints = wait_for(lambda: printed_endpoints(log), log)
        check_is_unprivileged(process)
        variables = {
            **endpoints["variables"],
            "LISTEN_ADDR": address,
            "QUEUE_URL": endpoints["queue_url"],
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "SHUTDOWN_GRACE_PERIOD": "0",
        }
        with api.running(api_log, **variables) as producer:
            api.becomes_healthy(producer, api_log, **variables)
            body = json.dumps({"customer_id": "c-1", "email": "a@example.com", "plan": "starter"}).encode()
            request = urllib.request.Request(f"http://{address}/onboarding", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=5) as response:
                trace = response.headers["server-timing"].split("-")[1]
            expected = {"POST /onboarding", "send onboarding", "process onboarding", "put onboardings"}
            wait_for(lambda: {span["name"] for span in spans_of(endpoints) if span["trace_id"] == trace} == expected, log)
    assert process.returncode == 0, f"exit code {process.returncode}: {log.read_text()[-2000:]}"


def printed_endpoints(log):
    """Returns the endpoints that `baton up --json` has printed, if the line is complete."""
    lines = log.read_text().split("\n")[:-1]
    return next((json.loads(line) for line in lines if line.startswith("{")), None)


def sqs(endpoints, action, **parameters):
    """Makes one call in SQS's JSON protocol."""
    headers = {"X-Amz-Target": f"AmazonSQS.{action}", "Content-Type": "application/x-amz-json-1.0"}
    urllib.request.urlopen(urllib.request.Request(endpoints["sqs"], json.dumps(parameters).encode(), headers), timeout=10).close()


def spans_of(endpoints):
    with urllib.request.urlopen(endpoints["otlp_http"] + "/api/spans", timeout=10) as response:
        return json.load(response)["spans"]


def wait_for(condition, log):
    """Waits until the condition returns a true value, and returns it."""
    end = time.monotonic() + START_SECONDS
    while not (found := condition()):
        assert time.monotonic() < end, f"timed out: {log.read_text()[-2000:]}"
        time.sleep(POLL_SECONDS)
    return found


def images_have_labels(images):
    """every image: names its title, version, revision and licence, and a user that is not root"""
    for image in images.values():
        labels, prefix = image.settings["Labels"], "org.opencontainers.image."
        assert labels[prefix + "title"] == image.name, labels
        assert labels[prefix + "version"] == "1.2.3", labels
        assert labels[prefix + "licenses"] == "Apache-2.0", labels
        assert re.fullmatch(r"[0-9a-f]{40}|unknown", labels[prefix + "revision"]), labels
        assert image.settings["User"] == f"{USER}:{USER}", image.settings["User"]


def binaries_have_no_build_paths(images):
    """every image: its binary contains no path of the machine that built it"""
    for name, binary in BINARIES.items():
        found = BUILD_PATHS.findall((images[name].root / binary).read_bytes())
        assert not found, f"{name}: {len(found)}, such as {found[:3]}"


def images_have_no_sources(images):
    """every image: contains no sources and no shell"""
    for image in images.values():
        names = {path.name for path in image.root.rglob("*")}
        found = names & {"Cargo.toml", "Cargo.lock", "main.go", "sh", "cargo", "target"}
        assert not found, f"{image.name}: {sorted(found)}"


def main(built, baton):
    images = {name: Image(pathlib.Path(built), name) for name in BINARIES}
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        outcomes = [
            outcome(images_have_labels, images),
            outcome(images_have_no_sources, images),
            outcome(binaries_have_no_build_paths, images),
            outcome(api_serves, images, folder),
            outcome(collector_starts, images, folder),
            outcome(function_consumes, images, folder, baton),
            outcome(local_stack_stores, images, folder),
        ]
    print(f"{sum(outcomes)} passed, {len(outcomes) - sum(outcomes)} failed")
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
