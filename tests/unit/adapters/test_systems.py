"""AgentSystems and Leases as they are read and written over HTTP."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from aiohttp import web

from agentsystem_operator import ports
from agentsystem_operator.adapters.lease import KubernetesLease
from agentsystem_operator.adapters.systems import KubernetesSystems
from agentsystem_operator.model.references import SystemKey
from tests.fakes.api_server import page, serve
from tests.fakes.clock import FakeClock
from tests.fakes.virtual_time import virtual


class Script:
    """Answers from a list, and keeps what was asked."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        content = orjson.loads(body) if body else None
        self.asked.append((request.method, request.path, dict(request.query), content))
        status, answer = self._answers.pop(0)
        return web.json_response(answer, status=status)


def system(name: str, version: int) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
        }
    }


@virtual
async def test_all_pages_of_a_namespace_or_of_the_cluster_are_listed() -> None:
    script = Script(
        (200, page(system("a", 1), version=30, more="token")),
        (200, page(system("b", 2), version=31)),
        (200, page(version=20)),
    )
    async with serve(script) as api:
        systems = KubernetesSystems(api)
        version, found = await systems.list_identities("x")
        assert await systems.list_identities(None) == ("20", {})
    assert (version, sorted(key.name for key in found)) == ("31", ["a", "b"])
    assert found[SystemKey("shop", "a")] == ports.Listed("uid-a", "1")
    assert script.asked[1][2]["continue"] == "token"
    within = "/apis/agentsystem.dev/v1alpha1/namespaces/x/agentsystems"
    everywhere = "/apis/agentsystem.dev/v1alpha1/agentsystems"
    assert [path for _, path, _, _ in script.asked] == [within, within, everywhere]


@virtual
async def test_a_missing_system_is_none_and_a_missing_crd_is_not_served() -> None:
    served = {"resources": [{"name": "agentsystems"}, {"name": "agentsystems/status"}]}
    script = Script((404, {}), (404, {}), (200, {"resources": []}), (200, served))
    async with serve(script) as api:
        systems = KubernetesSystems(api)
        assert await systems.fetch(SystemKey("shop", "none")) is None
        assert [await systems.is_served() for _ in range(3)] == [False, False, True]


@virtual
async def test_a_lease_is_created_once_and_then_replaced_by_version() -> None:
    spec = {"holderIdentity": "me", "leaseDurationSeconds": 15, "leaseTransitions": 1}
    live = {"metadata": {"resourceVersion": "7"}, "spec": {**spec, "renewTime": "then"}}
    released = {"metadata": {"resourceVersion": "8"}, "spec": {}}
    script = Script((404, {}), (201, live), (200, live), (409, {}), (200, released))
    async with serve(script) as api:
        lease = KubernetesLease(api, namespace="ns", name="shard", clock=FakeClock())
        assert await lease.read() is None
        made = await lease.write(ports.Lease("me", 15.0, "", 1, ""))
        assert made == ports.Lease("me", 15.0, "then", 1, "7")
        await lease.write(made)
        with pytest.raises(ports.ConflictLost):
            await lease.write(made)
        assert await lease.read() == ports.Lease("", 0.0, "", 0, "8")
    methods = [method for method, *_ in script.asked]
    assert methods == ["GET", "POST", "PUT", "PUT", "GET"]
    assert "resourceVersion" not in script.asked[1][3]["metadata"]
    assert script.asked[2][3]["metadata"]["resourceVersion"] == "7"
    assert script.asked[2][3]["spec"]["renewTime"].endswith("Z")
