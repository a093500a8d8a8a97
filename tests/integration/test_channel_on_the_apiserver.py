"""With tokens and keys of a real apiserver: a pod is believed by its token, and by nothing else."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from agentsystem_operator.adapters.channel.tokens import AUDIENCE
from agentsystem_operator.settings import CHANNEL_SERVICE
from tests import builders, ports
from tests.conftest import ROOT
from tests.integration.crd import serve
from tests.integration.operator_process import NAMESPACE, account, operator
from tests.kube import Kube, eventually

HOST = f"{CHANNEL_SERVICE}.{NAMESPACE}.svc"
ACCOUNT = "one--front"


@dataclass(frozen=True)
class World:
    kube: Kube
    ns: str
    port: int

    def token(self, audience: str = AUDIENCE, name: str = ACCOUNT) -> str:
        """A token of a pod's, as the kubelet asks for one."""
        pod = self.kube.get("Pod", "speaker", self.ns)
        assert pod is not None
        bound = ("--bound-object-kind=Pod", "--bound-object-name=speaker")
        uid = f"--bound-object-uid={pod['metadata']['uid']}"
        flags = (f"--audience={audience}", "--duration=1h", *bound, uid)
        return self.kube.kubectl("create", "token", name, "-n", self.ns, *flags).strip()

    def say(self, *lines: dict[str, Any]) -> dict[str, Any]:
        """Connect as a pod would, say something, and return the first answer."""
        given = self.kube.get("ConfigMap", "one--ca", self.ns)
        assert given is not None
        tls = ssl.create_default_context(cadata=given["data"]["ca.crt"])
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=5) as plain,
            tls.wrap_socket(plain, server_hostname=HOST) as link,
        ):
            link.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
            answer: dict[str, Any] = json.loads(link.makefile().readline())
            return answer

    def greet(self, token: str, *more: dict[str, Any]) -> dict[str, Any]:
        return self.say({"type": "hello", "channel": "v1.0", "token": token}, *more)


@pytest.fixture(scope="module")
def world(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    serve(kube)
    folder = tmp_path_factory.mktemp("channel")
    credentials = account(kube, folder)
    ns, port = f"channel-{int(time.time())}", ports.free()
    kube.apply(builders.namespace(ns))
    flags = ("--identity", "channel", "--channel", f"127.0.0.1:{port}")
    try:
        with operator(credentials, folder / "log", *flags):
            kube.apply(builders.system("one", ns, agents=[builders.agent(replicas=0)]))
            made = World(kube, ns, port)
            eventually("pods are told", lambda: kube.get("ConfigMap", "one--ca", ns), within_s=30)
            eventually(
                "its account is there",
                lambda: kube.get("ServiceAccount", ACCOUNT, ns),
                within_s=30,
            )
            kube.apply(_pod(ns))
            yield made
    finally:
        kube.delete("Namespace", ns)


def _pod(ns: str) -> dict[str, Any]:
    """A pod of the agent's account that no node ever runs."""
    container = {"name": "idle", "image": "localhost/none", "securityContext": _RESTRICTED}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "speaker", "namespace": ns},
        "spec": {
            "serviceAccountName": ACCOUNT,
            "nodeSelector": {"agentsystem.dev/none": "such"},
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    }


_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_a_token_of_the_cluster_for_this_channel_is_believed(world: World) -> None:
    report = {
        "type": "report",
        "load": {"inFlight": 1},
        "providers": [{"name": "canned", "state": "Down", "reason": "connect", "recent": True}],
    }
    assert world.greet(world.token(), report) == {"type": "welcome", "channel": "v1.0"}


def test_a_token_for_the_apiserver_is_not(world: World) -> None:
    token = world.token(audience="https://kubernetes.default.svc")
    assert world.greet(token) == {"type": "refused", "reason": "WrongAudience"}


def test_a_token_that_was_not_signed_by_the_cluster_is_not(world: World) -> None:
    head, body, signature = world.token().split(".")
    changed = signature[:-8] + ("A" * 8 if not signature.endswith("A" * 8) else "B" * 8)
    said = world.greet(f"{head}.{body}.{changed}")
    assert said == {"type": "refused", "reason": "BadToken"}


def test_the_account_of_no_agent_says_nothing(world: World) -> None:
    world.kube.apply(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "one--fake", "namespace": world.ns},
        }
    )
    flags = (f"--audience={AUDIENCE}", "--duration=1h")
    token = world.kube.kubectl("create", "token", "one--fake", "-n", world.ns, *flags).strip()
    # Bound to no pod, it is none of a pod's anyway.
    assert world.greet(token) == {"type": "refused", "reason": "BadToken"}


def test_the_manifests_applied_again_take_no_authority_away(world: World) -> None:
    before = world.kube.get("Secret", "agentsystem-channel", NAMESPACE)
    rbac = str(ROOT / "config" / "rbac")
    world.kube.kubectl("apply", "--server-side", "--force-conflicts", "-k", rbac)
    after = world.kube.get("Secret", "agentsystem-channel", NAMESPACE)

    assert before is not None
    assert after is not None
    assert before["data"] == after["data"]
    assert set(after["data"]) == {"ca.crt", "ca.key"}
