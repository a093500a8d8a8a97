"""The store of AgentSystems: newest state wins, and only news wakes anybody."""

from __future__ import annotations

from typing import Any

from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.shell.store import Store

KEY = SystemKey("shop", "one")


def body(version: int, *, uid: str = "u1", generation: int = 1, **fields: Any) -> dict[str, Any]:
    meta = {"name": "one", "namespace": "shop", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": {**meta, "generation": generation}, "spec": {"tier": "Testing"}, **fields}


def make() -> tuple[Store, list[SystemKey]]:
    told: list[SystemKey] = []
    return Store(changed=told.append, status_changed=told.append), told


def test_what_goes_in_comes_out() -> None:
    store, _ = make()
    store.put(body(1, status={"readyAgents": 1}))
    system = store.get(KEY)
    assert system is not None
    assert (system.uid, system.spec, system.status) == (
        "u1",
        {"tier": "Testing"},
        {"readyAgents": 1},
    )


def test_a_repeated_or_older_event_wakes_nobody() -> None:
    store, told = make()
    store.put(body(5))
    store.put(body(5))
    store.put(body(3, generation=9))
    store.put(body(6))
    assert told == [KEY]


def test_our_own_status_write_is_no_news_when_it_comes_back() -> None:
    store, told = make()
    store.put(body(5))
    store.status_written(KEY, uid="u1", status={"readyAgents": 1}, version="7")
    store.put(body(5))
    store.put(body(7, status={"readyAgents": 1}))
    assert told == [KEY]
    assert store.version(KEY) == "7"


def test_a_status_that_somebody_else_wrote_is_news_but_nobodys_wish() -> None:
    wishes: list[SystemKey] = []
    statuses: list[SystemKey] = []
    store = Store(changed=wishes.append, status_changed=statuses.append)
    store.put(body(5, status={"readyAgents": 1}))
    store.put(body(6, status={}))
    assert (wishes, statuses) == ([KEY], [KEY])
    store.put(body(7, generation=2, status={"readyAgents": 1}))
    assert (wishes, statuses) == ([KEY, KEY], [KEY])


def test_a_status_answer_that_is_late_does_not_hide_a_newer_object() -> None:
    store, _ = make()
    store.put(body(9, generation=2))
    store.status_written(KEY, uid="u1", status={"readyAgents": 1}, version="7")
    assert (store.version(KEY), store.get(KEY).generation) == ("9", 2)  # type: ignore[union-attr]


def test_the_deletion_of_an_earlier_object_leaves_the_later_one() -> None:
    store, told = make()
    store.put(body(9, uid="u2"))
    store.remove(KEY, uid="u1")
    assert store.get(KEY) is not None
    store.remove(KEY, uid="u2")
    assert store.get(KEY) is None
    assert told == [KEY, KEY]


def test_deletion_under_way_is_seen() -> None:
    store, _ = make()
    dying = body(2)
    dying["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    store.put(dying)
    assert store.get(KEY).deleting  # type: ignore[union-attr]
