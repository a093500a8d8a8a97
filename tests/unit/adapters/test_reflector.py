"""The reflector against a scripted apiserver on loopback, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from dataclasses import replace

import pytest

from agentsystem_operator.adapters import projections
from agentsystem_operator.adapters.reflector import Reflector, Source
from agentsystem_operator.model.observed import Child
from agentsystem_operator.model.references import Kind
from tests.fakes.api_server import (
    ApiServer,
    Silence,
    bookmark,
    config_map,
    event,
    expired,
    page,
    serve,
)
from tests.fakes.virtual_time import virtual

SOURCE: Source[projections.Plain, Child] = Source(
    kind="ConfigMap",
    path="/api/v1/configmaps",
    namespace=None,
    shape=projections.Plain,
    project=lambda live: projections.child(Kind.CONFIG_MAP, live),
    selector="ours=yes",
)


class Diary:
    """A sink that writes down what it is told."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def saw(self, live: Child) -> None:
        self.entries.append(f"saw {live.ref.name}@{live.resource_version}")

    def gone(self, live: Child) -> None:
        self.entries.append(f"gone {live.ref.name}")

    def listed(
        self, scope: str | None, *, found: Set[tuple[str, str]], version: str, went_back: bool
    ) -> None:
        names = ",".join(sorted(name for _, name in found))
        self.entries.append(f"listed {names}@{version}{' back' if went_back else ''}")


async def reflect(
    server: ApiServer, shape: type[projections.Plain] = projections.Plain
) -> tuple[list[str], float]:
    """Run a script to its end; returns what the sink was told and the time it took."""
    diary = Diary()
    async with serve(server.answer) as api:
        reflector = Reflector(api, replace(SOURCE, shape=shape), diary)
        began = asyncio.get_running_loop().time()
        task = asyncio.create_task(reflector.run())
        await server.done.wait()
        took = asyncio.get_running_loop().time() - began
        assert reflector.synced.is_set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return diary.entries, took


@virtual
async def test_pages_are_listed_to_the_end_before_anything_is_swept() -> None:
    server = ApiServer()
    server.lists = [
        page(config_map("a", 1), version=5, more="token"),
        page(config_map("b", 2), version=5),
    ]
    entries, _ = await reflect(server)
    assert entries == ["saw a@1", "saw b@2", "listed a,b@5"]
    assert server.requests[1]["continue"] == "token"
    assert server.requests[2]["resourceVersion"] == "5"
    assert {request["labelSelector"] for request in server.requests} == {"ours=yes"}


@virtual
async def test_an_ended_watch_goes_on_from_the_last_bookmark_without_a_list() -> None:
    server = ApiServer()
    server.lists = [page(version=5)]
    server.watches = [
        [event("ADDED", config_map("a", 6)), Silence(30), bookmark(9), Silence(30)],
        [event("DELETED", config_map("a", 10)), Silence(30)],
    ]
    entries, _ = await reflect(server)
    assert entries == ["listed @5", "saw a@6", "gone a"]
    assert [request.get("resourceVersion") for request in server.requests] == [
        None,
        "5",
        "9",
        "10",
    ]


@virtual
async def test_an_expired_version_is_listed_again_with_a_sweep() -> None:
    server = ApiServer()
    server.lists = [page(config_map("a", 1), version=5), page(config_map("b", 8), version=9)]
    server.watches = [[expired()]]
    entries, _ = await reflect(server)
    assert entries == ["saw a@1", "listed a@5", "saw b@8", "listed b@9"]


@virtual
async def test_an_expired_page_starts_the_list_over() -> None:
    server = ApiServer()
    server.lists = [
        page(config_map("a", 1), version=5, more="token"),
        (410, {"kind": "Status", "reason": "Expired"}),
        page(config_map("a", 1), version=7),
    ]
    entries, _ = await reflect(server)
    assert entries == ["saw a@1", "saw a@1", "listed a@7"]


@virtual
async def test_a_silent_stream_is_left_after_75_seconds() -> None:
    server = ApiServer()
    server.lists = [page(version=5)]
    server.watches = [[bookmark(6), Silence(10_000)]]
    entries, took = await reflect(server)
    assert entries == ["listed @5"]
    assert 75 <= took <= 80
    assert server.requests[-1]["resourceVersion"] == "6"


@virtual
async def test_bookmarks_keep_a_quiet_stream_open() -> None:
    server = ApiServer()
    server.lists = [page(version=5)]
    server.watches = [[part for n in range(10) for part in (Silence(60), bookmark(6 + n))]]
    _, took = await reflect(server)
    assert took >= 600
    assert len(server.requests) == 3


@virtual
async def test_half_a_line_is_dropped_and_asked_for_again() -> None:
    server = ApiServer()
    server.lists = [page(version=5)]
    whole = event("ADDED", config_map("a", 6))
    server.watches = [[whole[:20]], [whole, Silence(2)]]
    entries, _ = await reflect(server)
    assert entries == ["listed @5", "saw a@6"]
    assert [request.get("resourceVersion") for request in server.requests[1:3]] == ["5", "5"]


@virtual
async def test_a_line_that_arrives_in_pieces_is_one_event() -> None:
    server = ApiServer()
    server.lists = [page(version=5)]
    line = event("ADDED", config_map("a", 6)) + event("ADDED", config_map("b", 7))
    server.watches = [[line[:50], Silence(1), line[50:300], Silence(1), line[300:], Silence(2)]]
    entries, _ = await reflect(server)
    assert entries == ["listed @5", "saw a@6", "saw b@7"]


@virtual
async def test_a_watch_that_goes_back_in_time_is_not_trusted() -> None:
    server = ApiServer()
    server.lists = [page(version=50), page(config_map("a", 61), version=70)]
    server.watches = [[event("ADDED", config_map("a", 60)), event("MODIFIED", config_map("a", 9))]]
    entries, _ = await reflect(server)
    assert entries[-2:] == ["saw a@61", "listed a@70"]


@virtual
async def test_a_cluster_that_went_back_in_time_says_so_to_the_sink() -> None:
    server = ApiServer()
    old = page(config_map("a", 9), version=20)
    server.lists = [page(config_map("a", 49), version=50), old, old]
    server.watches = [[expired()]]
    entries, _ = await reflect(server)
    assert entries[-4:] == ["saw a@9", "listed a@20 back", "saw a@9", "listed a@20"]


@virtual
async def test_failed_calls_are_repeated_within_five_seconds() -> None:
    server = ApiServer()
    failure: tuple[int, dict[str, object]] = (500, {"kind": "Status"})
    server.lists = [failure] * 20 + [page(version=5)]
    entries, took = await reflect(server)
    assert entries == ["listed @5"]
    assert took <= 20 * 3.1


@virtual
async def test_watches_that_are_cut_at_once_are_not_hammered() -> None:
    server = ApiServer()
    server.lists = [page(version=5)]
    server.watches = [[] for _ in range(10)]
    _, took = await reflect(server)
    assert took >= 5


@virtual
async def test_garbage_on_the_stream_ends_only_the_stream() -> None:
    server = ApiServer()
    server.lists = [page(version=5)]
    server.watches = [[b"{not json}\n"], [event("ADDED", config_map("a", 6)), Silence(2)]]
    entries, _ = await reflect(server)
    assert entries == ["listed @5", "saw a@6"]


@virtual
async def test_a_stream_that_never_can_be_trusted_is_not_a_stream_of_lists() -> None:
    server = ApiServer()
    server.lists = [page(version=50) for _ in range(11)]
    server.watches = [[event("ADDED", config_map("a", 9))] for _ in range(10)]
    _, took = await reflect(server)
    assert took >= 18


@virtual
async def test_what_may_not_be_listed_is_told_and_asked_for_ever_less_often() -> None:
    server = ApiServer()
    forbidden = {"message": 'configmaps is forbidden: User "op" cannot list'}
    server.lists = [(403, forbidden)] * 1000
    async with serve(server.answer) as api:
        reflector = Reflector(api, SOURCE, Diary())
        task = asyncio.create_task(reflector.run())
        await asyncio.sleep(1)
        assert (reflector.answered.is_set(), reflector.synced.is_set()) == (True, False)
        assert "cannot list" in reflector.refusal
        await asyncio.sleep(3600)
        asked = len(server.requests)
        assert 120 <= asked <= 260  # a cap of 30 s, and jitter
        server.lists = [page(version=5)]
        await server.done.wait()
        assert (reflector.synced.is_set(), reflector.refusal) == (True, "")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("kind", Kind)
@virtual
async def test_an_expired_watch_is_listed_anew_whatever_its_kind(kind: Kind) -> None:
    """The error is a Status, whose own field `status` is a text; a Deployment's is an object."""
    server = ApiServer()
    server.lists = [page(version=5), page(config_map("a", 8), version=9)]
    server.watches = [[expired()]]
    entries, _ = await reflect(server, projections.SHAPES[kind])
    assert entries == ["listed @5", "saw a@8", "listed a@9"]


@virtual
async def test_a_line_that_cannot_be_read_twice_is_answered_by_a_list() -> None:
    server = ApiServer()
    server.lists = [page(version=5), page(config_map("a", 8), version=9)]
    server.watches = [[b'{"type": "MODIFIED", "object": 3}\n']] * 2
    entries, _ = await reflect(server)
    assert entries == ["listed @5", "saw a@8", "listed a@9"]
