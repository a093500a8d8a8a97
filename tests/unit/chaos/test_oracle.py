"""Each oracle of the chaos cases can fail, and says what it saw."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

from tests import audit
from tests.chaos import oracle, trial
from tests.chaos.fingerprint import World
from tests.chaos.oracle import Ending
from tests.chaos.record import Record
from tests.chaos.trial import Reference
from tests.unit.chaos.namespace import child, namespace, world

WORLD = world(namespace("shop"), "shop")
FRONT = ("deployments", "sys--front-a")
CLAIM = ("persistentvolumeclaims", "sys--front")
SOUND = Ending(
    world=WORLD,
    created=Counter([FRONT, CLAIM]),
    deleted=Counter(),
    touched=frozenset({FRONT, CLAIM}),
    disturbed=2,
    settled_s=3.0,
)
REFERENCE = Reference(SOUND, WORLD)


def test_a_sound_ending_passes_everything() -> None:
    assert trial.alike(SOUND, REFERENCE) == []
    assert trial.untouched(SOUND, REFERENCE) == []
    assert oracle.as_if_fresh(SOUND, WORLD) == []
    assert oracle.nothing_foreign(SOUND, WORLD.versions) == []
    assert oracle.no_orphan(SOUND) == []
    assert oracle.no_volume_deleted(SOUND) == []
    assert oracle.settled_in_time(SOUND, 30) == []
    assert oracle.at_rest([], for_s=10) == []
    assert oracle.no_traceback('{"message": "leading"}') == []


def test_an_object_made_twice_or_never_is_told() -> None:
    twice = replace(SOUND, created=Counter([FRONT, FRONT]))
    assert oracle.same_lives(twice, SOUND) == [
        "deployments/sys--front-a was created 2 times, not 1",
        "persistentvolumeclaims/sys--front was created 0 times, not 1",
    ]
    assert trial.untouched(twice, REFERENCE) == ["deployments/sys--front-a was made again"]


def test_a_deletion_too_much_is_told() -> None:
    deleted = replace(SOUND, deleted=Counter([FRONT]))
    assert oracle.same_lives(deleted, SOUND) == [
        "deployments/sys--front-a was deleted 1 times, not 0"
    ]
    assert trial.untouched(deleted, REFERENCE) == ["deployments/sys--front-a was deleted"]


def test_a_deleted_claim_is_told() -> None:
    deleted = replace(SOUND, deleted=Counter([CLAIM]))
    assert oracle.no_volume_deleted(deleted) == ["claim sys--front was deleted"]


def test_a_write_to_something_else_is_told() -> None:
    seen = replace(SOUND, touched=SOUND.touched | {("services", "theirs")})
    assert oracle.nothing_else_written(seen, SOUND) == [
        "services/theirs was written; without faults it is not"
    ]


def test_a_changed_or_deleted_bystander_is_told() -> None:
    name = ("ConfigMap", "theirs")
    for versions in ({name: "8"}, {}):
        seen = replace(SOUND, world=World(WORLD.children, WORLD.status, (), versions))
        assert oracle.nothing_foreign(seen, WORLD.versions) == [
            "ConfigMap/theirs is not ours and was changed or deleted"
        ]


def test_an_orphan_is_told() -> None:
    everything = namespace("shop")
    everything["objects"]["Service"].append(child("sys--old", "dead", {}))
    seen = replace(SOUND, world=world(everything, "shop"))
    assert oracle.no_orphan(seen) == ["Service/sys--old is an orphan"]


def test_a_world_unlike_the_reference_or_a_fresh_install_is_told() -> None:
    everything = namespace("shop")
    everything["objects"]["Deployment"][0]["spec"]["replicas"] = 9
    seen = replace(SOUND, world=world(everything, "shop"))
    line = "Deployment/sys--front-a differs: .spec.replicas is 9, not 2"
    assert oracle.same_world(seen, SOUND) == [line]
    assert oracle.as_if_fresh(seen, WORLD) == [f"fresh install: {line}"]
    assert trial.untouched(seen, REFERENCE) == [line]


def test_slow_settling_unrest_and_tracebacks_are_told() -> None:
    assert oracle.settled_in_time(replace(SOUND, settled_s=31.0), 30) == [
        "settled only 31 s after the last fault"
    ]
    now = datetime.now(UTC)
    request = audit.Request(now, now, "patch", "services", "shop", "one", 200)
    assert oracle.at_rest([request], for_s=60) == [
        "asked at rest (60 s): patch services shop/one -> 200"
    ]
    (line,) = oracle.no_traceback('{}\n{"exc": "Traceback (most recent call last)"}')
    assert "Traceback" in line


def test_a_record_tells_what_was_created_deleted_and_touched() -> None:
    record = Record()
    for method, path, status in (
        ("PATCH", "/apis/apps/v1/namespaces/shop/deployments/a", 201),
        ("PATCH", "/apis/apps/v1/namespaces/shop/deployments/a/scale", 200),
        ("PATCH", "/api/v1/namespaces/shop/services/b", 422),
        ("DELETE", "/api/v1/namespaces/shop/configmaps/c", 200),
        ("DELETE", "/api/v1/namespaces/shop/configmaps/d", 404),
        ("POST", "/apis/events.k8s.io/v1/namespaces/shop/events", 201),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/shop/leases/l", 200),
    ):
        record.begin(method, path, {}).upstream = status
    a, c = ("deployments", "a"), ("configmaps", "c")
    assert (record.created(), record.deleted(), record.touched()) == ([a], [c], [a, a, c])
