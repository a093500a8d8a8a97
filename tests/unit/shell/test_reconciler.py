"""Passes over one system, with the real engine on a fake cluster."""

from __future__ import annotations

import asyncio

import pytest

from agentsystem_operator import ports
from agentsystem_operator.model.observed import Looked, Unknown
from agentsystem_operator.model.references import Kind, Ref, SystemKey
from agentsystem_operator.shell.contents import Seen
from agentsystem_operator.shell.reconciler import Result
from tests import builders
from tests.fakes import manifests
from tests.fakes.cluster import FakeCluster
from tests.fakes.rig import Rig
from tests.fakes.virtual_time import virtual

KEY = SystemKey("shop", "one")
SERVICE = Ref(Kind.SERVICE, "shop", "one--front")
DEPLOYMENT = Ref(Kind.DEPLOYMENT, "shop", "one--front-a")


async def made(**fields: object) -> Rig:
    """A rig whose system was made and is settled, with its audit emptied."""
    rig = Rig(FakeCluster())
    rig.seen(rig.cluster.add_system(KEY, manifests.spec(**fields)))
    await rig.work()
    rig.cluster.writes.clear()
    rig.cluster.reads.clear()
    return rig


def condition(rig: Rig, kind: str) -> tuple[str, str]:
    found = {item["type"]: item for item in rig.cluster.status(KEY)["conditions"]}
    return found[kind]["status"], found[kind]["reason"]


@virtual
async def test_a_new_system_costs_one_write_per_child_one_hand_over_and_one_status() -> None:
    rig = Rig(FakeCluster())
    rig.seen(rig.cluster.add_system(KEY, manifests.spec()))
    results = await rig.work()
    assert results == [Result.ACTED, Result.SETTLED]
    kinds = [write.split()[0] for write in rig.cluster.writes]
    assert {kind: kinds.count(kind) for kind in kinds if kind != "event"} == {
        "apply": 8,
        "hand": 1,
        "status": 1,
    }
    assert kinds.count("event") <= 1


@virtual
async def test_a_settled_system_costs_nothing() -> None:
    rig = await made()
    rig.queue.add(KEY)
    assert await rig.work() == [Result.SETTLED]
    assert (rig.cluster.writes, rig.cluster.reads) == ([], [])


@virtual
async def test_a_restart_on_a_settled_system_writes_and_reads_nothing() -> None:
    old = await made()
    again = Rig(old.cluster)
    again.sync()
    again.seen(old.cluster.system(KEY))
    assert await again.work() == [Result.SETTLED]
    assert (old.cluster.writes, old.cluster.reads) == ([], [])


@virtual
async def test_a_crash_after_any_write_is_finished_by_the_next_process() -> None:
    whole = await made()
    reference = {child.ref: child.intent for child in whole.cluster.children()}
    for writes in range(12):
        cluster = FakeCluster()
        first = Rig(cluster)
        first.seen(cluster.add_system(KEY, manifests.spec(), uid=_uid(whole)))
        cluster.faults = [None] * writes + [ports.NotLeading("killed")] * 5
        try:
            await first.work()
        except ports.NotLeading:
            cluster.faults = []
        second = Rig(cluster)
        second.sync()
        second.seen(cluster.system(KEY))
        await second.work()
        assert {child.ref: child.intent for child in cluster.children()} == reference
        applies = [write for write in cluster.writes if write.startswith("apply")]
        assert len(applies) == len(set(applies)) == len(reference)
        assert cluster.child(DEPLOYMENT).rollout == whole.cluster.child(DEPLOYMENT).rollout


def _uid(rig: Rig) -> str:
    uid: str = rig.cluster.system(KEY)["metadata"]["uid"]
    return uid


@virtual
async def test_what_somebody_changed_is_restored_with_one_write() -> None:
    rig = await made()
    rig.cluster.tamper(SERVICE, "metadata", "labels", "agentsystem.dev/agent", value="x")
    rig.children.put(rig.cluster.child(SERVICE))
    await rig.work()
    assert [write for write in rig.cluster.writes if "event" not in write] == [f"apply {SERVICE}"]
    assert rig.cluster.body(SERVICE)["metadata"]["labels"]["agentsystem.dev/agent"] == "front"


@virtual
async def test_a_refused_child_is_shown_at_once_and_sent_again_with_backoff() -> None:
    rig = Rig(FakeCluster())
    rig.seen(rig.cluster.add_system(KEY, manifests.spec()))
    rig.cluster.faults = [ports.Refused("spec.ports: bad", status=422)]
    assert Result.REFUSED in await rig.work()
    assert condition(rig, "ConfigValid")[0] == "False"
    refused_at_first = "apply ServiceAccount 'one--front'"
    assert refused_at_first not in rig.cluster.writes
    await asyncio.sleep(2)
    await rig.work()
    assert refused_at_first in rig.cluster.writes
    assert condition(rig, "ConfigValid")[0] == "True"


@virtual
async def test_a_child_that_stays_refused_is_sent_twice_a_minute_in_the_end() -> None:
    rig = await made()
    sent = []
    rig.cluster.tamper(SERVICE, "metadata", "labels", "agentsystem.dev/agent", value="x")
    rig.children.put(rig.cluster.child(SERVICE))
    end = asyncio.get_running_loop().time() + 600
    while asyncio.get_running_loop().time() < end:
        rig.cluster.faults = [ports.Refused("no", status=422)]
        if Result.REFUSED in await rig.work():
            sent.append(asyncio.get_running_loop().time())
        rig.cluster.faults = []
        await asyncio.sleep(0.25)
    assert 20 <= len(sent) <= 28


@virtual
async def test_a_child_that_only_the_cache_has_is_made_again() -> None:
    rig = await made()
    rig.cluster.tamper(SERVICE, "metadata", "labels", "agentsystem.dev/agent", value="x")
    seen = rig.cluster.child(SERVICE)
    await rig.cluster.delete(SERVICE, uid=seen.uid)
    rig.children.put(seen)
    assert await rig.work() == [Result.CONFLICT]
    await asyncio.sleep(1)
    await rig.work()
    assert rig.cluster.child(SERVICE).agent == "front"
    assert rig.cluster.reads.count(f"read {SERVICE}") == 1


@virtual
async def test_a_lost_conflict_is_settled_by_reading_the_object() -> None:
    rig = await made()
    rig.cluster.tamper(DEPLOYMENT, "metadata", "labels", "agentsystem.dev/agent", value="x")
    rig.children.put(rig.cluster.child(DEPLOYMENT))
    rig.cluster.faults = [ports.ConflictLost("409 Conflict")]
    assert await rig.work() == [Result.CONFLICT]
    await asyncio.sleep(1)
    await rig.work()
    assert rig.cluster.child(DEPLOYMENT).agent == "front"
    assert rig.cluster.reads.count(f"read {DEPLOYMENT}") == 1


EDITED = {"agents": [builders.agent(instructions="Be brief.")]}


@virtual
async def test_a_change_of_the_spec_reads_only_who_the_system_is() -> None:
    rig = await made()
    rig.seen(rig.cluster.edit_system(KEY, manifests.spec(**EDITED)))
    await rig.work()
    assert rig.cluster.reads == [f"identify {KEY}"]


@virtual
@pytest.mark.parametrize("kind", [Kind.CONFIG_MAP, Kind.CONTROLLER_REVISION])
async def test_an_object_of_somebody_else_under_the_name_of_the_next_revision_is_left_alone(
    kind: Kind,
) -> None:
    twin = await made()
    before = {child.ref for child in twin.cluster.children()}
    twin.seen(twin.cluster.edit_system(KEY, manifests.spec(**EDITED)))
    await twin.work()
    (name,) = [c.ref for c in twin.cluster.children() if c.ref.kind is kind and c.ref not in before]
    rig = await made()
    rollout = rig.cluster.child(DEPLOYMENT).rollout
    rig.cluster.add_foreign(name, {"metadata": {"name": name.name}})
    rig.seen(rig.cluster.edit_system(KEY, manifests.spec(**EDITED)))
    assert (await rig.work())[0] is Result.CONFLICT
    await asyncio.sleep(1)
    await rig.work()
    assert condition(rig, "ConfigValid") == ("False", "NameTaken")
    assert rig.cluster.body(name)["metadata"].keys() == {
        "name", "uid", "resourceVersion", "generation",
    }  # fmt: skip
    assert rig.cluster.child(DEPLOYMENT).rollout == rollout


@virtual
async def test_a_stale_view_of_the_spec_deletes_nothing() -> None:
    rig = await made()
    old = rig.cluster.system(KEY)
    two = [builders.agent(), builders.agent("research")]
    spec = manifests.spec(agents=two, workflow={"entry": "front"})
    rig.seen(rig.cluster.edit_system(KEY, spec))
    await rig.work()
    frozen = Rig(rig.cluster)
    frozen.sync()
    rig.cluster.writes.clear()
    frozen.seen(old)
    assert await frozen.work() == [Result.CONFLICT, Result.SETTLED]
    assert rig.cluster.writes == []


@virtual
async def test_a_system_that_is_gone_is_not_made_again() -> None:
    rig = await made()
    await rig.cluster.delete(SERVICE, uid=rig.cluster.child(SERVICE).uid)
    rig.children.forget(SERVICE)
    rig.cluster.remove_system(KEY)
    rig.cluster.writes.clear()
    rig.queue.add(KEY)
    await rig.work()
    await asyncio.sleep(2)
    await rig.work()
    assert rig.cluster.writes == []
    assert rig.store.get(KEY) is None
    assert rig.memory.counts["Paused", "False"] == 0


@virtual
async def test_a_system_made_again_under_its_name_takes_nothing_of_the_old_one() -> None:
    rig = await made()
    old = {child.ref for child in rig.cluster.children()}
    rig.cluster.remove_system(KEY)
    rig.seen(rig.cluster.add_system(KEY, manifests.spec(), uid="another"))
    await rig.work()
    assert condition(rig, "ConfigValid") == ("False", "NameTaken")
    assert [
        write for write in rig.cluster.writes if not write.startswith(("status", "event"))
    ] == []
    for ref in old:  # the garbage collector comes
        child = rig.cluster.child(ref)
        await rig.cluster.delete(ref, uid=child.uid)
        rig.children.remove(child)
    await rig.work()
    await asyncio.sleep(40)
    await rig.work()
    assert {child.controller_uid for child in rig.cluster.children()} == {"another"}


@virtual
async def test_a_taken_name_stops_every_write_but_the_status() -> None:
    rig = Rig(FakeCluster())
    rig.cluster.add_foreign(SERVICE, {"metadata": {"name": "one--front", "namespace": "shop"}})
    rig.seen(rig.cluster.add_system(KEY, manifests.spec()))
    await rig.work()
    assert condition(rig, "ConfigValid") == ("False", "NameTaken")
    assert {write.split()[0] for write in rig.cluster.writes} <= {"status", "event"}


@virtual
async def test_an_unreachable_apiserver_ends_the_pass_and_the_next_one_goes_on() -> None:
    rig = Rig(FakeCluster())
    rig.seen(rig.cluster.add_system(KEY, manifests.spec()))
    rig.cluster.faults = [None, None, ports.ClusterUnreachable("away")]
    with pytest.raises(ports.ClusterUnreachable):
        await rig.work()
    rig.queue.add(KEY)
    await rig.work()
    assert len([write for write in rig.cluster.writes if write.startswith("apply")]) == 8


@virtual
async def test_a_status_that_changed_under_us_is_written_on_the_new_version() -> None:
    rig = Rig(FakeCluster())
    rig.seen(rig.cluster.add_system(KEY, manifests.spec()))
    rig.cluster.edit_system(KEY, manifests.spec(agents=[builders.agent(replicas=3)]))
    await rig.work()
    await asyncio.sleep(2)
    await rig.work()
    assert rig.cluster.status(KEY)["observedGeneration"] == 2
    assert rig.cluster.child(DEPLOYMENT).rollout
    assert rig.cluster.body(DEPLOYMENT)["spec"]["replicas"] == 3


@virtual
async def test_a_changed_config_map_is_read_once_and_an_unused_one_never() -> None:
    source = {"name": "texts", "key": "a"}
    told = builders.agent()
    del told["instructions"]
    told["instructionsFrom"] = {"configMapKeyRef": source}
    cluster = FakeCluster()
    cluster.add_config_map("shop", "texts", {"a": "First."})
    rig = Rig(cluster)
    rig.seen(cluster.add_system(KEY, manifests.spec(agents=[told])))
    await rig.work()
    before = rig.cluster.child(DEPLOYMENT).rollout
    cluster.reads.clear()
    cluster.add_config_map("shop", "texts", {"a": "Second."})
    rig.contents.saw(Seen("shop", "texts", "77"))
    rig.contents.saw(Seen("shop", "unrelated", "78"))
    await rig.work()
    after = rig.cluster.child(DEPLOYMENT).rollout
    assert before
    assert after
    assert before.revision != after.revision
    assert [read for read in cluster.reads if "ConfigMap 'texts'" in read] == [
        "read ConfigMap 'texts'"
    ]


@virtual
async def test_a_read_that_is_put_off_puts_off_everything() -> None:
    class Busy(FakeCluster):
        async def read(self, ref: Ref, *, owner_uid: str) -> Looked:
            return Unknown("apiserver answered 429", retry_after_s=7)

    rig = Rig(Busy())
    rig.seen(rig.cluster.add_system(KEY, manifests.spec()))
    with pytest.raises(ports.ClusterUnreachable) as caught:
        await rig.step(KEY)
    assert caught.value.retry_after_s == 7


@virtual
async def test_refused_replicas_are_shown_at_once_and_asked_for_again_with_backoff() -> None:
    rig = await made(agents=[builders.agent(replicas=2)])
    spec = manifests.spec(agents=[builders.agent(replicas=3)])
    rig.seen(rig.cluster.edit_system(KEY, spec))
    rig.cluster.faults = [ports.Refused("at most 2", status=403)]
    assert await rig.work() == [Result.REFUSED, Result.SETTLED]
    assert condition(rig, "ConfigValid") == ("False", "ApplyRefused")
    rig.children.put(rig.cluster.child(DEPLOYMENT))
    assert "scale" not in " ".join(rig.cluster.writes)
    await asyncio.sleep(2)
    await rig.work()
    assert rig.cluster.body(DEPLOYMENT)["spec"]["replicas"] == 3
    assert condition(rig, "ConfigValid") == ("True", "Valid")


@virtual
async def test_pods_that_may_not_become_fewer_are_not_given_one_volume() -> None:
    rig = await made(agents=[builders.agent(replicas=2)])
    one = [builders.agent(replicas=1)]
    spec = manifests.spec(agents=one, memory={"sessions": {"store": "SQLite"}})
    rig.seen(rig.cluster.edit_system(KEY, spec))
    real = rig.cluster.scale

    async def refuse(*_: object, **__: object) -> str:
        raise ports.Refused("at least 2", status=403)

    rig.cluster.scale = refuse  # type: ignore[method-assign]  # a policy of the cluster
    await rig.work()
    assert condition(rig, "ConfigValid") == ("False", "ApplyRefused")
    strategy = rig.cluster.body(DEPLOYMENT)["spec"]["strategy"]["type"]
    assert strategy == "RollingUpdate"
    rig.cluster.scale = real  # type: ignore[method-assign]  # and its end
    await asyncio.sleep(2)
    await rig.work()
    assert rig.cluster.body(DEPLOYMENT)["spec"]["strategy"]["type"] == "Recreate"


@virtual
async def test_a_refused_deletion_is_told_in_an_event() -> None:
    two = [builders.agent(), builders.agent("research")]
    rig = await made(agents=two, workflow={"entry": "front"})

    async def refuse(*_: object, **__: object) -> None:
        raise ports.Refused("protected", status=403)

    rig.cluster.delete = refuse  # type: ignore[method-assign]  # a policy of the cluster
    rig.seen(rig.cluster.edit_system(KEY, manifests.spec(agents=two[:1])))
    await rig.work()
    told = [event.message for _, _, event in rig.cluster.events if event.action == "Delete"]
    assert any("was not deleted: protected" in message for message in told)
