"""kopf is only a watch: its settings cost nothing, and its handlers only store."""

from __future__ import annotations

import itertools
from typing import Any

import kopf

from agentsystem_operator import handlers
from agentsystem_operator.adapters.connection import Connection
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.shell.store import Store
from tests.fakes.virtual_time import virtual

KEY = SystemKey("shop", "one")


def registry(store: Store, relists: list[int]) -> kopf.OperatorRegistry:
    link = Connection("http://127.0.0.1:1", None, lambda: "")
    return handlers.build_registry(link, store, relisted=lambda: relists.append(1))


def body(version: int) -> dict[str, Any]:
    meta = {"name": "one", "namespace": "shop", "uid": "u", "resourceVersion": str(version)}
    return {"metadata": meta, "spec": {}}


def test_nothing_of_kopf_but_its_watch_is_used() -> None:
    found = registry(Store(changed=lambda _: None), [])
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
    assert (first[:5], max(first)) == ([1, 2, 3, 5, 5], 5)
    assert list(itertools.islice(backoffs, 1000)) == first


@virtual
async def test_events_are_stored_and_a_relist_asks_for_a_sweep() -> None:
    store, relists = Store(changed=lambda _: None), list[int]()
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
