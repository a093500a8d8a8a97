"""Who can connect to whom: pods that try, and a pod that is there to be reached.

They are of the runtime image, which has a Python, so that agents' own pods can be asked as well:
what is tried from inside of them is tried from their own network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.kube import Kube

IMAGE = "localhost/agent-runtime:dev"
SERVER = Path(__file__).with_name("connection_server.py")
MODEL_PORT, DECLARED_PORT, OTHER_PORT = 8080, 5432, 5433
# Packets that no policy allows vanish. A connection that is allowed takes milliseconds; a second
# and more is the first packet lost and sent again.
PATIENCE_S = 3

_TRY = f"""
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def attempt(target):
    host, port = target.split(":")
    address = socket.gethostbyname(host)
    try:
        socket.create_connection((address, int(port)), timeout={PATIENCE_S}).close()
    except TimeoutError:
        return "silence"
    return "connected"
with ThreadPoolExecutor() as pool:
    print(*pool.map(attempt, sys.argv[1:]))
"""
CONNECTED, SILENCE = "connected", "silence"


def attempt(kube: Kube, ns: str, pod: str, *targets: str) -> list[str]:
    """Try to connect from inside a pod to each `host:port`: CONNECTED, or SILENCE of a policy.

    Whatever else goes wrong (an unknown name, a refusal) fails the test with its own words.
    """
    said = kube.kubectl("exec", "-n", ns, pod, "--", "python3", "-c", _TRY, *targets)
    words = said.strip().splitlines()[-1].split()
    assert set(words) <= {CONNECTED, SILENCE}, f"{ns}/{pod} -> {targets}: {said}"
    assert len(words) == len(targets), said
    return words


def idle(ns: str, name: str) -> dict[str, Any]:
    """A pod that does nothing, to try things from."""
    return pod(ns, name, "import signal; signal.pause()")


def server(ns: str, name: str) -> dict[str, Any]:
    """A pod that listens on MODEL_PORT, as an endpoint for models, and on two ports more."""
    return pod(ns, name, SERVER.read_text(), str(MODEL_PORT), str(DECLARED_PORT), str(OTHER_PORT))


def service(ns: str, name: str) -> dict[str, Any]:
    """The Service of the pod of that name: other port numbers than the pod's own."""
    ports = [{"name": "http", "port": 80, "targetPort": MODEL_PORT}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": ns},
        "spec": {"selector": {"app": name}, "ports": ports},
    }


def pod(ns: str, name: str, program: str, *arguments: str, **labels: str) -> dict[str, Any]:
    """A pod that runs a Python program, under restricted pod security."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": ns, "labels": {"app": name, **labels}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "python",
                    "image": IMAGE,
                    "command": ["python3", "-u", "-c", program, *arguments],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }
