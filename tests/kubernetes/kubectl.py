#!/usr/bin/env python3
"""Stands in for kubectl: keeps the objects of a cluster in a file, and creates the pods that controllers would create.

Reads and writes the JSON file that STAND_IN names, which the checks prepare: see `script_checks.py`. It knows the calls of the
scripts in infra/kubernetes, and fails with code 64 for any other, so that a changed script does not pass by accident.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import yaml

STATE = pathlib.Path(os.environ["STAND_IN"])
# Kinds of the objects whose pods exist, and their names on the command line.
WORKLOADS = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}
KINDS = WORKLOADS | {"service": "Service", "services": "Service", "namespace": "Namespace", "secret": "Secret", "job": "Job", "jobs": "Job", "persistentvolumeclaim": "PersistentVolumeClaim"}
# A step of a JSONPath: a key with escaped dots, an index, or all elements.
STEP = re.compile(r"\.((?:[^.\[\\]|\\.)+)|\[(\*|\d+)\]")
UNKNOWN_CALL = 64
# Commands that do not change the cluster, and those that do.
READING = {"kustomize", "get", "create", "set", "logs", "port_forward"}
WRITING = {"apply", "delete", "rollout"}


def main():
    arguments = sys.argv[1:]
    with changed_state() as state:
        state["calls"].append(" ".join(arguments))
    if arguments[0] == "--context":
        if arguments[1] != "stand-in":
            sys.exit(f'error: context "{arguments[1]}" does not exist')
        arguments = arguments[2:]
    command = arguments[0].replace("-", "_")
    if command not in READING | WRITING:
        unknown(arguments)
    if command in WRITING:
        # Before the lock is taken, because the call before it in a pipe needs the lock too.
        text = sys.stdin.read() if "-" in arguments else ""
        with changed_state() as state:
            getattr(Call(arguments, state, text), command)()
    else:
        getattr(Call(arguments, json.loads(STATE.read_text())), command)()


@contextlib.contextmanager
def changed_state():
    """Yields the state, and writes it. Calls in a pipe of the shell run at the same time."""
    with open(f"{STATE}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = json.loads(STATE.read_text())
        yield state
        new = STATE.with_suffix(".new")
        new.write_text(json.dumps(state))
        new.replace(STATE)


def unknown(arguments):
    print(f"the stand-in does not know: kubectl {' '.join(arguments)}", file=sys.stderr)
    sys.exit(UNKNOWN_CALL)


class Call:
    """A call of kubectl. Each method is a command."""

    def __init__(self, arguments, state, text=""):
        self.words, self.options = [], {}
        self.state = state
        # The standard input.
        self.text = text
        rest = list(arguments[1:])
        flags = {"--ignore-not-found", "--server-side", "--force-conflicts", "--wait", "--local"}
        while rest:
            word = rest.pop(0)
            if word in flags or word.startswith("--dry-run="):
                self.options[word] = True
            elif word.startswith("--"):
                self.options[word] = rest.pop(0)
            else:
                self.words.append(word)

    @property
    def objects(self):
        return self.state["objects"]

    def fault(self, name):
        return self.state["faults"].get(name)

    # ---- reading --------------------------------------------------------------------------------

    def kustomize(self):
        [folder] = self.words
        command = [self.state["kustomize"], "build", "--load-restrictor", self.options["--load-restrictor"], folder]
        sys.exit(subprocess.run(command).returncode)

    def get(self):
        if self.fault("unreachable"):
            sys.exit("The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?")
        if self.options.get("--raw") == "/version":
            print(json.dumps({"major": "1", "minor": self.fault("minor") or "37"}, indent=2))
        elif self.words[0] == "pods":
            self.show({"items": self.selected_pods()})
        elif self.words[0] == "pod":
            self.show(self.found([pod for pod in self.pods() if pod["metadata"]["name"] == self.words[1]], "pod"))
        elif self.words[0] == "endpointslices":
            self.show({"items": self.endpoint_slices()})
        elif self.words[0] == "persistentvolumeclaims":
            owner = self.options["--selector"].partition("=")[2]
            self.show({"items": [one for one in self.of_kind("PersistentVolumeClaim") if one["metadata"]["name"].endswith(f"-{owner}-0")]})
        elif "," in self.words[0]:
            self.list_names()
        elif self.words[0] in KINDS:
            self.show(self.with_status(self.found(self.named(KINDS[self.words[0]], self.words[1]), self.words[0])))
        else:
            unknown(["get", *self.words])

    def show(self, value):
        output = self.options["--output"]
        if output == "name":
            print(value["metadata"]["name"])
            return
        path = output.removeprefix("jsonpath={").removesuffix("}")
        values = [value]
        for key, index in STEP.findall(path):
            if key:
                values = [element.get(key.replace("\\.", ".")) for element in values if isinstance(element, dict)]
            elif index == "*":
                values = [one for element in values if element for one in (element.values() if isinstance(element, dict) else element)]
            else:
                values = [element[int(index)] for element in values if element and len(element) > int(index)]
        sys.stdout.write(" ".join(str(one) for one in values if one is not None))

    def found(self, objects, kind):
        if not objects:
            sys.exit(f'Error from server (NotFound): {kind} "{self.words[1]}" not found')
        return objects[0]

    def of_kind(self, kind):
        return [one for one in self.objects if one["kind"] == kind and one["metadata"].get("namespace") in (None, self.options.get("--namespace"))]

    def named(self, kind, name):
        return [one for one in self.of_kind(kind) if one["metadata"]["name"] == name]

    def list_names(self):
        kinds = self.words[0].split(",")
        for one in self.objects:
            plural = f"{one['kind'].lower()}s"
            if plural in kinds and one["metadata"].get("namespace") == self.options["--namespace"]:
                print(f"{one['kind'].lower()}/{one['metadata']['name']}")
        print("configmap/kube-root-ca.crt")

    # ---- pods, as their controllers create them -------------------------------------------------

    def replicas(self, workload):
        if workload["kind"] == "DaemonSet":
            return 1
        return workload["spec"].get("replicas", 3)

    def waiting(self, workload):
        """Returns the reason why the pods of a workload are not ready, or None."""
        image = workload["spec"]["template"]["spec"]["containers"][0]["image"]
        if image in self.state["bad_images"]:
            return "ImagePullBackOff"
        return (self.fault("waiting") or {}).get(workload["metadata"]["name"])

    def pods(self):
        found = []
        for one in self.objects:
            name = one["metadata"]["name"]
            if one["kind"] in WORKLOADS.values() and name != self.fault("no_pods"):
                reason = self.waiting(one)
                for number in range(self.replicas(one)):
                    found.append(pod(one, f"{name}-{number}", reason, one["spec"]["template"]["spec"]["containers"][0]["image"]))
            elif one["kind"] == "Job":
                found.append(pod(one, f"{name}-0", None, "local-stack", {"batch.kubernetes.io/job-name": name}, "Succeeded"))
        return found

    def selected_pods(self):
        key, _, value = self.options["--selector"].partition("=")
        return [one for one in self.pods() if one["metadata"]["labels"].get(key) == value and one["metadata"]["namespace"] == self.options["--namespace"]]

    def endpoint_slices(self):
        name = self.options["--selector"].partition("=")[2]
        return [] if name == self.fault("no_endpoints") else [{"endpoints": [{"addresses": ["10.0.0.1"]}]}]

    def with_status(self, one):
        if one["kind"] in WORKLOADS.values():
            ready = 0 if self.waiting(one) else self.replicas(one)
            one = one | {"status": {"readyReplicas": ready, "numberReady": ready, "desiredNumberScheduled": self.replicas(one)}}
            one["spec"] = one["spec"] | {"replicas": self.replicas(one)}
        if one["kind"] == "Job":
            succeeded = self.fault("load") != "failed"
            one = one | {"status": {"succeeded": int(succeeded), "conditions": [{"type": "Complete" if succeeded else "Failed"}]}}
        return one

    # ---- writing --------------------------------------------------------------------------------

    def apply(self):
        text = self.text or pathlib.Path(self.options["--filename"]).read_text()
        for one in yaml.safe_load_all(text):
            if one["kind"] == self.fault("refused"):
                sys.exit(f"Error from server (Forbidden): {one['kind'].lower()} is forbidden")
            self.put(one)

    def put(self, one):
        same = [old for old in self.objects if identity(old) == identity(one)]
        if one["kind"] == "Deployment":
            one["metadata"].setdefault("annotations", {})["deployment.kubernetes.io/revision"] = self.next_revision(one, same)
        for claim in one["spec"].get("volumeClaimTemplates", []) if one["kind"] == "StatefulSet" else []:
            self.put({"kind": "PersistentVolumeClaim", "metadata": {"name": f"{claim['metadata']['name']}-{one['metadata']['name']}-0", "namespace": one["metadata"]["namespace"]}})
        for old in same:
            self.objects.remove(old)
        self.objects.append(one)

    def next_revision(self, one, same):
        """Returns the revision of a Deployment, and keeps its template for `kubectl rollout undo`."""
        templates = self.state["templates"].setdefault(one["metadata"]["name"], {})
        template = one["spec"]["template"]
        if same and same[0]["spec"]["template"] == template:
            return same[0]["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
        revision = str(len(templates) + 1)
        templates[revision] = template
        return revision

    def delete(self):
        if self.words:
            kind, name = KINDS[self.words[0]], (self.words[1:] or [None])[0]
            gone = [one for one in self.of_kind(kind) if name is None or one["metadata"]["name"] == name]
        else:
            if self.fault("stuck"):
                sys.exit("error: timed out waiting for the condition on services/onboarding-api")
            wanted = {identity(one) for one in yaml.safe_load_all(pathlib.Path(self.options["--filename"]).read_text()) if one}
            gone = [one for one in self.objects if identity(one) in wanted]
        for one in gone:
            self.objects.remove(one)

    def create(self):
        # kubectl create job NAME --from cronjob/load --dry-run=client --output yaml
        assert self.words[0] == "job" and self.options["--from"] == "cronjob/load", self.words
        if not self.named("CronJob", "load"):
            sys.exit('Error from server (NotFound): cronjobs.batch "load" not found')
        metadata = {"name": self.words[1], "namespace": self.options["--namespace"], "labels": {"app.kubernetes.io/name": "load"}}
        print(yaml.safe_dump({"kind": "Job", "metadata": metadata, "spec": {}}))

    def set(self):
        [job] = yaml.safe_load_all(sys.stdin.read())
        job["variables"] = dict(word.split("=", 1) for word in self.words if "=" in word)
        print(yaml.safe_dump(job))

    def rollout(self):
        command, target = self.words[0], self.words[1].partition("/")
        [workload] = self.named(WORKLOADS[target[0].lower()], target[2]) or [None]
        if workload is None:
            sys.exit(f'Error from server (NotFound): {target[0]} "{target[2]}" not found')
        if command == "undo":
            template = self.state["templates"][target[2]][self.options["--to-revision"]]
            self.put(workload | {"spec": workload["spec"] | {"template": template}})
        elif command == "status" and self.waiting(workload):
            sys.exit("error: timed out waiting for the condition")
        elif command not in ("status", "restart"):
            unknown(["rollout", command])

    def logs(self):
        if self.words[0].startswith("job/"):
            print(self.state["load_report"])
        else:
            print("error: QUEUE_URL: expected a URL")

    def port_forward(self):
        target, port = self.words[0], self.words[1].lstrip(":")
        name = target.partition("/")[2].rstrip("0123456789").rstrip("-")
        local = self.state["ports"].get(f"{name}:{port}")
        if local is None:
            sys.exit(f"error: unable to forward port: no server for {name}:{port}")
        print(f"Forwarding from 127.0.0.1:{local} -> {port}", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        # Ends with the script that has started it.
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(0.1)
        sys.exit(0)


def pod(owner, name, reason, image, labels=None, phase=None):
    state = {"waiting": {"reason": reason}} if reason and reason not in ("Pending", "NotReady") else {"running": {}}
    return {
        "metadata": {"name": name, "namespace": owner["metadata"]["namespace"], "labels": labels or owner["spec"]["template"]["metadata"]["labels"]},
        "spec": {"nodeName": "node-1", "containers": [{"image": image}]},
        "status": {"phase": phase or ("Pending" if reason == "Pending" else "Running"), "containerStatuses": [{"state": state}]},
    }


def identity(one):
    return one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]


if __name__ == "__main__":
    main()
