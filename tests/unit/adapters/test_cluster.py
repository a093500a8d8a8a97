"""Single calls of the adapter whose edges no apiserver shows on demand."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from aiohttp import web

from agentsystem_operator import ports
from agentsystem_operator.adapters.cluster import KubernetesCluster
from agentsystem_operator.model.evaluation import Event, EventType
from agentsystem_operator.model.observed import Unknown
from agentsystem_operator.model.references import Kind, Ref, SystemKey
from tests.fakes.api_server import serve
from tests.fakes.clock import FakeClock
from tests.fakes.virtual_time import virtual

KEY = SystemKey("shop", "one")
DEPLOYMENT = Ref(Kind.DEPLOYMENT, "shop", "one--front-a")


@virtual
async def test_a_read_that_is_put_off_says_until_when() -> None:
    async def busy(_: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({}, status=429, headers={"Retry-After": "7"})

    async with serve(busy) as api:
        cluster = KubernetesCluster(api, clock=FakeClock(), instance="me")
        found = await cluster.identify(KEY)
    assert isinstance(found, Unknown)
    assert found.retry_after_s == 7


@virtual
async def test_being_refused_a_look_at_a_system_is_no_outage() -> None:
    """It concerns one namespace; doubt about the apiserver would hold up all the others."""

    async def forbidden(_: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"message": "no"}, status=403)

    async with serve(forbidden) as api:
        cluster = KubernetesCluster(api, clock=FakeClock(), instance="me")
        with pytest.raises(ports.Refused):
            await cluster.identify(KEY)


@virtual
async def test_a_hand_over_of_several_requests_takes_no_longer_than_one_write_may() -> None:
    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(4)
        if request.method == "PATCH":
            return web.json_response({}, status=422)
        fields: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
        entry = {"manager": "agentsystem", "operation": "Apply", "fieldsV1": fields}
        meta = {"name": DEPLOYMENT.name, "namespace": "shop", "managedFields": [entry]}
        return web.json_response({"metadata": meta})

    async with serve(slow) as api:
        cluster = KubernetesCluster(api, clock=FakeClock(), instance="me")
        began = asyncio.get_running_loop().time()
        with pytest.raises(ports.ClusterUnreachable):
            await cluster.hand_over_replicas(DEPLOYMENT, uid="u")
        assert asyncio.get_running_loop().time() - began <= 5.2


@virtual
async def test_the_note_of_an_event_has_no_more_bytes_than_the_apiserver_takes() -> None:
    sent: list[Any] = []

    async def take(request: web.BaseRequest) -> web.StreamResponse:
        sent.append(orjson.loads(await request.read()))
        return web.json_response({}, status=201)

    async with serve(take) as api:
        cluster = KubernetesCluster(api, clock=FakeClock(), instance="me")
        event = Event(EventType.WARNING, "ApplyRefused", 'x "…" ' * 300, "Evaluate")
        await cluster.send_event(KEY, uid="u", event=event)
    note = sent[0]["note"]
    assert 1000 <= len(note.encode()) <= 1024
    assert event.message.startswith(note)
