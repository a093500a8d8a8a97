"""What every `ports.Cluster` must do: run against the fake and against a real apiserver."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

import pytest

from agentsystem_operator import ports
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.model.evaluation import Event, EventType
from agentsystem_operator.model.observed import Absent, Child, ReplicasOwner, Taken, Text
from agentsystem_operator.model.references import Kind, Ref, SystemKey
from tests.fakes import manifests

LOST = (ports.ConflictLost, ports.Gone)


class World(Protocol):
    """A cluster, and what a test may do to it behind the operator's back."""

    cluster: ports.Cluster
    namespace: str

    def add_system(self, name: str) -> tuple[SystemKey, str]:
        """Create an AgentSystem; returns its key and uid."""

    def add_foreign(self, ref: Ref, body: Mapping[str, Any]) -> None:
        """Create an object that is not ours."""

    def add_config_map(self, name: str, data: dict[str, str]) -> None:
        """Create a user's ConfigMap."""

    def tamper(self, ref: Ref, *path: str, value: Any) -> None:
        """Change one field as somebody else."""

    def status(self, key: SystemKey) -> Mapping[str, Any]:
        """Return the status of an AgentSystem."""

    def version(self, key: SystemKey) -> str:
        """Return the resource version of an AgentSystem."""

    def count_events(self, key: SystemKey) -> int:
        """Return how many Events there are about an AgentSystem."""


class ClusterContract:
    """Subclasses give a fixture `world`."""

    async def test_every_kind_is_owned_as_computed(self, world: World) -> None:
        key, uid = world.add_system("owned")
        made = await _make(world, key, uid)
        assert {ref.kind for ref in made} == set(Kind) - {Kind.REPLICA_SET}
        for manifest, child in made.values():
            assert child.ownership == manifest.ownership, manifest.ref
            assert (child.intent, child.system) == (manifest.intent, key.name)

    async def test_made_children_are_controlled_by_the_system(self, world: World) -> None:
        key, uid = world.add_system("controlled")
        for manifest, child in (await _make(world, key, uid)).values():
            found = await world.cluster.read(manifest.ref, owner_uid=uid)
            assert isinstance(found, Child)
            assert (found.uid, found.ownership) == (child.uid, child.ownership)
            claim = child.ref.kind is Kind.PERSISTENT_VOLUME_CLAIM
            assert child.controller_uid == (None if claim else uid)

    async def test_an_equal_apply_changes_nothing(self, world: World) -> None:
        key, uid = world.add_system("equal")
        manifest, child = await _make_one(world, key, uid, Kind.SERVICE)
        again = await world.cluster.apply(manifest, uid=child.uid)
        assert again == child

    async def test_what_somebody_else_changed_shows_and_is_restored(self, world: World) -> None:
        key, uid = world.add_system("tampered")
        manifest, child = await _make_one(world, key, uid, Kind.SERVICE)
        world.tamper(manifest.ref, "metadata", "labels", "agentsystem.dev/agent", value="other")
        seen = await world.cluster.read(manifest.ref, owner_uid=uid)
        assert isinstance(seen, Child)
        assert seen.ownership != manifest.ownership
        restored = await world.cluster.apply(manifest, uid=child.uid)
        assert (restored.ownership, restored.agent) == (manifest.ownership, child.agent)

    async def test_a_name_that_was_taken_meanwhile_is_not_overwritten(self, world: World) -> None:
        key, uid = world.add_system("late")
        manifest = _manifest(key, uid, Kind.SERVICE)
        world.add_foreign(manifest.ref, _foreign_service(manifest.ref))
        with pytest.raises(ports.ConflictLost):
            await world.cluster.apply(manifest, uid=None)
        assert await world.cluster.read(manifest.ref, owner_uid=uid) == Taken("")

    @pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.REPLICA_SET])
    async def test_what_was_made_meanwhile_is_not_taken_over_though_nothing_conflicts(
        self, world: World, kind: Kind
    ) -> None:
        """Somebody else's object may even be equal to ours in every field."""
        key, uid = world.add_system("equal")
        manifest = _manifest(key, uid, kind)
        foreign = {**manifest.body, "metadata": {"name": manifest.ref.name}}
        foreign["metadata"]["namespace"] = manifest.ref.namespace
        world.add_foreign(manifest.ref, foreign)
        with pytest.raises(ports.ConflictLost):
            await world.cluster.apply(manifest, uid=None)
        assert await world.cluster.read(manifest.ref, owner_uid=uid) == Taken("")

    async def test_the_wrong_object_is_never_written(self, world: World) -> None:
        key, uid = world.add_system("wrong")
        made = await _make(world, key, uid)
        ref = next(ref for ref in made if ref.kind is Kind.DEPLOYMENT)
        manifest, child = made[ref]
        other = "00000000-0000-0000-0000-000000000000"
        for write in (
            world.cluster.apply(manifest, uid=other),
            world.cluster.hand_over_replicas(ref, uid=other),
            world.cluster.set_recreate(ref, uid=other),
            world.cluster.scale(ref, uid=other, replicas=5),
            world.cluster.delete(ref, uid=other),
            world.cluster.write_status(key, version="1", status={"readyAgents": 1}),
        ):
            with pytest.raises(LOST):
                await write
        found = await world.cluster.read(ref, owner_uid=uid)
        assert isinstance(found, Child)
        assert (found.uid, found.rollout and found.rollout.wanted) == (child.uid, 1)

    async def test_a_missing_object_is_not_made_by_a_write_that_expects_it(
        self, world: World
    ) -> None:
        key, uid = world.add_system("missing")
        manifest = _manifest(key, uid, Kind.DEPLOYMENT)
        ghost = SystemKey(key.namespace, "ghost")
        for write in (
            world.cluster.apply(manifest, uid=uid),
            world.cluster.hand_over_replicas(manifest.ref, uid=uid),
            world.cluster.set_recreate(manifest.ref, uid=uid),
            world.cluster.scale(manifest.ref, uid=uid, replicas=2),
            world.cluster.write_status(ghost, version="1", status={"readyAgents": 1}),
        ):
            with pytest.raises(LOST):
                await write
        assert await world.cluster.read(manifest.ref, owner_uid=uid) == Absent()

    async def test_replicas_change_hands_and_stay_as_they_are(self, world: World) -> None:
        key, uid = world.add_system("hands")
        manifest, child = await _make_one(world, key, uid, Kind.DEPLOYMENT)
        assert child.rollout
        assert child.rollout.replicas_owner is ReplicasOwner.MAIN
        handed = await world.cluster.hand_over_replicas(manifest.ref, uid=child.uid)
        assert handed.rollout
        assert handed.rollout.replicas_owner is ReplicasOwner.SCALE
        assert handed.ownership == manifest.ownership
        version = await world.cluster.scale(manifest.ref, uid=child.uid, replicas=3)
        without = _without_replicas(manifest)
        applied = await world.cluster.apply(without, uid=child.uid)
        assert applied.rollout
        assert applied.rollout.wanted == 3
        assert applied.rollout.replicas_owner is ReplicasOwner.SCALE
        assert applied.ownership == manifest.ownership
        assert int(version) > int(handed.resource_version)

    async def test_replicas_change_hands_although_somebody_touched_them(self, world: World) -> None:
        key, uid = world.add_system("touched")
        manifest, child = await _make_one(world, key, uid, Kind.DEPLOYMENT)
        world.tamper(manifest.ref, "metadata", "annotations", "example.com/note", value="x")
        await world.cluster.scale(manifest.ref, uid=child.uid, replicas=2)
        handed = await world.cluster.hand_over_replicas(manifest.ref, uid=child.uid)
        assert handed.rollout
        assert handed.rollout.replicas_owner is ReplicasOwner.SCALE
        assert handed.rollout.wanted == 2

    async def test_a_strategy_that_somebody_lets_roll_is_set_back_before_an_apply(
        self, world: World
    ) -> None:
        key, uid = world.add_system("strategy")
        spec = manifests.spec(memory={"sessions": {"store": "SQLite"}})
        wanted = manifests.wanted(key, uid, spec)
        manifest = next(m for m in wanted if m.ref.kind is Kind.DEPLOYMENT)
        child = await world.cluster.apply(manifest, uid=None)
        assert child.rollout
        assert not child.rollout.rolls
        world.tamper(manifest.ref, "spec", "strategy", "type", value="RollingUpdate")
        with pytest.raises(ports.Refused, match=r"spec\.strategy\.rollingUpdate"):
            await world.cluster.apply(manifest, uid=child.uid)
        rolling = await world.cluster.read(manifest.ref, owner_uid=uid)
        assert isinstance(rolling, Child)
        assert rolling.rollout
        assert rolling.rollout.rolls
        back = await world.cluster.set_recreate(manifest.ref, uid=child.uid)
        assert back.rollout
        assert not back.rollout.rolls
        applied = await world.cluster.apply(manifest, uid=child.uid)
        assert applied.ownership == manifest.ownership

    async def test_deleting_twice_is_success_both_times(self, world: World) -> None:
        key, uid = world.add_system("twice")
        manifest, child = await _make_one(world, key, uid, Kind.SERVICE)
        await world.cluster.delete(manifest.ref, uid=child.uid)
        await world.cluster.delete(manifest.ref, uid=child.uid)
        assert await world.cluster.read(manifest.ref, owner_uid=uid) == Absent()

    async def test_a_foreign_object_is_taken_and_names_its_controller(self, world: World) -> None:
        ref = Ref(Kind.SERVICE, world.namespace, "taken--front")
        _, uid = world.add_system("theirs")
        body = _foreign_service(ref)
        body["metadata"]["ownerReferences"] = [
            {
                "apiVersion": "agentsystem.dev/v1alpha1",
                "kind": "AgentSystem",
                "name": "theirs",
                "uid": uid,
                "controller": True,
            }
        ]
        world.add_foreign(ref, body)
        assert await world.cluster.read(ref, owner_uid="mine") == Taken("AgentSystem/theirs")

    async def test_claims_are_ours_by_label(self, world: World) -> None:
        key, uid = world.add_system("claims")
        manifest, child = await _make_one(world, key, uid, Kind.PERSISTENT_VOLUME_CLAIM)
        assert await world.cluster.read(manifest.ref, owner_uid="of a later system") == child

    async def test_the_keys_of_the_cluster_are_a_key_set(self, world: World) -> None:
        found = await world.cluster.read_cluster_keys()
        assert isinstance(found, str)
        assert list(json.loads(found)) == ["keys"]

    async def test_config_maps_are_read_by_value(self, world: World) -> None:
        world.add_config_map("mine", {"a": "1", "b": "zwei"})
        found = await world.cluster.read_config_map(world.namespace, "mine")
        assert found == Text({"a": "1", "b": "zwei"})
        assert await world.cluster.read_config_map(world.namespace, "none") == Absent()

    async def test_identity_is_that_of_the_live_object(self, world: World) -> None:
        key, uid = world.add_system("identity")
        assert await world.cluster.identify(key) == ports.Identity(uid, 1, deleting=False)
        assert await world.cluster.identify(SystemKey(key.namespace, "none")) == Absent()

    async def test_status_is_replaced_whole(self, world: World) -> None:
        key, _ = world.add_system("status")
        first = {"observedGeneration": 1, "readyAgents": 1, "totalAgents": 1}
        old = world.version(key)
        version = await world.cluster.write_status(key, version=old, status=first)
        second = {"observedGeneration": 1, "totalAgents": 2}
        newest = await world.cluster.write_status(key, version=version, status=second)
        assert world.status(key) == second
        assert world.version(key) == newest

    async def test_an_event_is_kept_once(self, world: World) -> None:
        key, uid = world.add_system("event")
        event = Event(EventType.WARNING, "NameTaken", "Service 'x' is taken", "Apply")
        await world.cluster.send_event(key, uid=uid, event=event)
        await world.cluster.send_event(key, uid=uid, event=event)
        assert world.count_events(key) == 1


async def _make(world: World, key: SystemKey, uid: str) -> dict[Ref, tuple[Manifest, Child]]:
    wanted = manifests.wanted(key, uid, manifests.spec(memory=manifests.SQLITE))
    return {m.ref: (m, await world.cluster.apply(m, uid=None)) for m in wanted}


async def _make_one(world: World, key: SystemKey, uid: str, kind: Kind) -> tuple[Manifest, Child]:
    manifest = _manifest(key, uid, kind)
    return manifest, await world.cluster.apply(manifest, uid=None)


def _manifest(key: SystemKey, uid: str, kind: Kind) -> Manifest:
    wanted = manifests.wanted(key, uid, manifests.spec(memory=manifests.SQLITE))
    return next(manifest for manifest in wanted if manifest.ref.kind is kind)


def _without_replicas(manifest: Manifest) -> Manifest:
    spec = {name: value for name, value in manifest.body["spec"].items() if name != "replicas"}
    body = {**manifest.body, "spec": spec}
    return Manifest(manifest.ref, body, manifest.intent, manifest.ownership)


def _foreign_service(ref: Ref) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": ref.name, "namespace": ref.namespace},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80, "protocol": "TCP"}]},
    }
