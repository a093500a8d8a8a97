"""A model provider in the cluster: the runtime image has a simulator of one."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.e2e import connections
from tests.kube import Kube, eventually

_ORDER = """
import sys, urllib.request
url, order = "http://127.0.0.1:8101/control", sys.argv[1].encode()
request = urllib.request.Request(url, order, method="PUT")
request.add_header("content-type", "application/json")
urllib.request.urlopen(request, timeout=5).read()
"""


def start(kube: Kube, ns: str) -> None:
    """Run the simulator; returns when it answers."""
    # A new namespace refuses pods for some tenths of a second.
    eventually("taken", lambda: kube.try_apply(_pod(ns)).is_success, within_s=30)
    kube.apply(_service(ns))
    kube.kubectl("wait", "-n", ns, "--for=condition=Ready", "pod/sim", "--timeout=60s")


def provider(ns: str) -> dict[str, Any]:
    """Return the entry of spec.providers that leads to it."""
    return {"name": "sim", "type": "OpenAI", "openAI": {"baseURL": f"http://sim.{ns}.svc:8100/v1"}}


def order(kube: Kube, ns: str, what: dict[str, Any]) -> float:
    """Give the simulator an order; returns when it took it."""
    kube.kubectl("exec", "-n", ns, "sim", "--", "python3", "-c", _ORDER, json.dumps(what))
    return time.monotonic()


def _pod(ns: str) -> dict[str, Any]:
    body = connections.pod(ns, "sim", "")
    (container,) = body["spec"]["containers"]
    container |= {
        "command": ["agent-runtime", "simulate"],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8100}, "periodSeconds": 1},
    }
    return body


def _service(ns: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "sim", "namespace": ns},
        "spec": {"selector": {"app": "sim"}, "ports": [{"name": "http", "port": 8100}]},
    }
