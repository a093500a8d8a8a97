"""kopf is only a watch: its settings cost nothing, and its handlers only store."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import kopf
import pytest

from agentsystem_operator import handlers
from agentsystem_operator.adapters.connection import Connection
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.shell.store import Store
from tests.fakes.virtual_time import virtual

KEY = SystemKey("shop", "one")


def registry(store: Store, missed: list[int]) -> kopf.OperatorRegistry:
    link = Connection("http://127.0.0.1:1", None, lambda: "")
    watch = handlers.SystemsWatch(link, store, namespaces=(), missed=lambda: missed.append(1))
    return watch.registry()


def body(version: int) -> dict[str, Any]:
    meta = {"name": "one", "namespace": "shop", "uid": "u", "resourceVersion": str(version)}
    return {"metadata": meta, "spec": {}}


def test_nothing_of_kopf_but_its_watch_is_used() -> None:
    found = registry(Store(changed=lambda _: None, status_changed=lambda _: None), [])
    for part in (found._changing, found._spawning, found._indexing, found._webhooks):
        assert list(part.get_all_handlers()) == []
    assert len(list(found._watching.get_all_handlers())) == 1


def test_settings_make_kopf_write_nothing_and_never_give_up() -> None:
    settings = kopf.OperatorSettings()
    handlers.configure(settings)
    assert isinstance(settings.persistence.diffbase_storage, handlers.NoDiffs)
    assert isinstance(settings.persistence.progress_storage, handlers.NoProgress)
    assert settings.scanning.disabled
    assert settings.peering.standalone
    assert not settings.posting.enabled
    assert not settings.watching.initial_streaming
    backoffs = settings.networking.error_backoffs
    assert not isinstance(backoffs, int | float)
    first = list(itertools.islice(backoffs, 1000))
    assert (first[:4], max(first)) == ([1, 2, 3, 3], 3)
    assert list(itertools.islice(backoffs, 1000)) == first


@virtual
async def test_events_are_stored_and_a_relist_asks_for_a_sweep() -> None:
    store, relists = Store(changed=lambda _: None, status_changed=lambda _: None), list[int]()
    [handler] = registry(store, relists)._watching.get_all_handlers()
    seen: Any = handler.fn
    assert await seen(event={"type": None, "object": body(1)}) is None
    assert (store.version(KEY), relists) == ("1", [])
    await seen(event={"type": "MODIFIED", "object": body(2)})
    assert store.version(KEY) == "2"
    await seen(event={"type": None, "object": body(2)})
    assert relists == [1]
    await seen(event={"type": "DELETED", "object": body(3)})
    assert store.packed(KEY) is None


def test_kopf_takes_only_its_own_tasks_for_its_own() -> None:
    async def ours() -> None:
        """Do nothing."""

    async def look() -> tuple[bool, bool]:
        mine = asyncio.create_task(ours())
        theirs = asyncio.create_task(kopf.operator(standalone=True))
        found = (mine in handlers.EverythingElse(), theirs in handlers.EverythingElse())
        theirs.cancel()
        await asyncio.gather(mine, theirs, return_exceptions=True)
        return found

    assert asyncio.run(look()) == (True, False)


def test_a_broken_callback_of_ours_is_logged_and_kopfs_known_one_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(handlers.complain)
        loop.call_soon(_assert_nothing)
        await asyncio.sleep(0)

    asyncio.run(broken())
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_a_request_of_kopfs_that_it_forgot_is_told_in_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    loop = asyncio.get_running_loop()
    kopfs = asyncio.create_task(kopf.operator(standalone=True))
    ours = asyncio.create_task(asyncio.sleep(0))
    for task in (kopfs, ours):
        handlers.complain(loop, {"message": "forgotten", "exception": OSError(), "future": task})
    kopfs.cancel()
    await asyncio.gather(kopfs, ours, return_exceptions=True)
    assert [(r.levelname, r.exc_info is not None) for r in caplog.records] == [
        ("INFO", False),
        ("ERROR", True),
    ]


def _assert_nothing() -> None:
    raise AssertionError
