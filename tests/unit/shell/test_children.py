"""The cache of children converges whatever the order and number of events (I6)."""

from __future__ import annotations

import itertools
from dataclasses import replace

from agentsystem_operator.model.observed import Child
from agentsystem_operator.model.references import Kind, Ref, SystemKey
from agentsystem_operator.shell import children as module
from agentsystem_operator.shell.children import Children, ChildSink

KEY = SystemKey("shop", "one")
REF = Ref(Kind.SERVICE, "shop", "one--front")


def child(version: int, *, uid: str = "u1", intent: str = "i", system: str = "one") -> Child:
    return Child(REF, uid, str(version), "owner", intent, "digest", system=system)


class Cache:
    """A cache and whom it told."""

    def __init__(self) -> None:
        self.told: list[SystemKey] = []
        self.now = 0.0
        self.children = Children(changed=self.told.append, monotonic=lambda: self.now)


def test_an_older_state_never_replaces_a_newer_one() -> None:
    cache = Cache()
    cache.children.put(child(5, intent="new"))
    cache.children.put(child(3, intent="old"))
    assert cache.children.of(KEY) == {REF: child(5, intent="new")}


def test_an_equal_projection_wakes_nobody() -> None:
    cache = Cache()
    for version in (1, 2, 3):
        cache.children.put(child(version))
    assert cache.told == [KEY]
    assert cache.children.of(KEY)[REF].resource_version == "3"


def test_a_deleted_child_is_not_brought_back_by_a_late_event() -> None:
    cache = Cache()
    cache.children.put(child(5))
    cache.children.remove(child(7))
    cache.children.put(child(6, intent="late"))
    assert cache.children.of(KEY) == {}
    cache.children.put(child(8, uid="u2"))
    assert cache.children.of(KEY) == {REF: child(8, uid="u2")}


def test_a_late_deletion_does_not_remove_the_next_object_of_that_name() -> None:
    cache = Cache()
    cache.children.put(child(9, uid="u2"))
    cache.children.remove(child(7, uid="u1"))
    assert cache.children.of(KEY) == {REF: child(9, uid="u2")}


def test_every_order_of_the_same_events_ends_the_same() -> None:
    events = [
        ("put", child(1)),
        ("put", child(2, intent="b")),
        ("gone", child(3)),
        ("put", child(4)),
    ]
    for order in itertools.permutations(events):
        cache = Cache()
        for kind, state in order:
            (cache.children.put if kind == "put" else cache.children.remove)(state)
        assert cache.children.of(KEY) in ({REF: child(4)}, {}), order
        cache.children.put(child(4))
        assert set(cache.children.of(KEY)) <= {REF}


def test_a_list_sweeps_what_it_does_not_show_but_nothing_newer() -> None:
    cache = Cache()
    sink = ChildSink(cache.children, Kind.SERVICE)
    newer = replace(child(20), ref=Ref(Kind.SERVICE, "shop", "newer"))
    other = replace(child(3), ref=Ref(Kind.CONFIG_MAP, "shop", "other"))
    for state in (child(5), newer, other):
        sink.saw(state)
    cache.told.clear()
    sink.listed(None, found=set(), version="10", went_back=False)
    assert set(cache.children.of(KEY)) == {newer.ref, other.ref}
    assert cache.told == [KEY]
    sink.listed(None, found=set(), version="10", went_back=True)
    assert set(cache.children.of(KEY)) == {other.ref}


def test_a_list_of_one_namespace_sweeps_only_there() -> None:
    cache = Cache()
    sink = ChildSink(cache.children, Kind.SERVICE)
    sink.saw(child(5))
    sink.listed("elsewhere", found=set(), version="10", went_back=False)
    assert set(cache.children.of(KEY)) == {REF}


def test_a_relabelled_child_wakes_both_systems_and_moves() -> None:
    cache = Cache()
    cache.children.put(child(1))
    cache.told.clear()
    cache.children.put(child(2, system="two"))
    assert set(cache.told) == {KEY, SystemKey("shop", "two")}
    assert cache.children.of(KEY) == {}
    assert set(cache.children.of(SystemKey("shop", "two"))) == {REF}


def test_a_child_that_we_deleted_is_known_to_be_on_its_way_out() -> None:
    cache = Cache()
    cache.children.put(child(1))
    cache.children.mark_deleting(REF, uid="another")
    assert not cache.children.of(KEY)[REF].deleting
    cache.children.mark_deleting(REF, uid="u1")
    assert cache.children.of(KEY)[REF].deleting


def test_a_deleted_name_is_forgotten_after_a_while() -> None:
    cache = Cache()
    other = replace(child(8), ref=Ref(Kind.SERVICE, "shop", "other"))
    for wait, known in ((module.BURIED_S, None), (module.BURIED_S + 1, child(6))):
        cache.children.remove(child(7))
        cache.now += wait
        cache.children.remove(other)
        cache.children.put(child(6))
        assert cache.children.get(REF) == known, wait


def test_tombstones_are_bounded() -> None:
    cache = Cache()
    for number in range(module.TOMBSTONES_MAX + 5):
        state = replace(child(number + 1), ref=Ref(Kind.SERVICE, "shop", str(number)))
        cache.children.remove(state)
    assert len(cache.children) == 0
    first = replace(child(1), ref=Ref(Kind.SERVICE, "shop", "0"))
    cache.children.put(first)
    assert cache.children.get(first.ref) == first


def test_in_a_cluster_that_went_back_older_states_are_believed_again() -> None:
    cache = Cache()
    sink = ChildSink(cache.children, Kind.SERVICE)
    deleted = replace(child(40), ref=Ref(Kind.SERVICE, "shop", "deleted"))
    sink.saw(child(50))
    sink.gone(deleted)
    found = {("shop", REF.name), ("shop", "deleted")}
    sink.listed(None, found=found, version="20", went_back=True)
    assert set(cache.children.of(KEY)) == {REF}, "what was seen counts until there is better"
    sink.saw(child(9))
    sink.saw(replace(deleted, resource_version="8"))
    versions = {ref.name: live.resource_version for ref, live in cache.children.of(KEY).items()}
    assert versions == {REF.name: "9", "deleted": "8"}
