"""What holds for every system that the schema accepts, and for whatever else may be stored."""

from __future__ import annotations

import re
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.decide import references
from agentsystem_operator.model import names, ownership
from agentsystem_operator.model.observed import Text, Unknown
from agentsystem_operator.model.references import Kind, Ref
from agentsystem_operator.plan import agent_config
from tests.property import strategies
from tests.unit.engine.world import World

DNS_1035 = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
FEW = settings(max_examples=40, deadline=None)

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=20,
)
FIELDS = ("tier", "agents", "providers", "routes", "memory", "runtime", "network")
specs_of_junk = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, junk))


running = strategies.specs().map(lambda spec: {**spec, "paused": False})


def world_of(spec: Any) -> World:
    """Return a world in which every ConfigMap that the spec names has the keys it asks for."""
    world = World(spec)
    parsed = AgentSystemSpec.model_validate(spec)
    for name in references.names(parsed):
        keys = _AnyKey("default: Be kind.")
        world.config_maps[name] = Text(keys)
    return world


class _AnyKey(dict[str, str]):
    """A ConfigMap's data that has every key."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> str:
        return self._text


@FEW
@given(running)
def test_every_valid_spec_settles_and_then_rests(spec: Any) -> None:
    world = world_of(spec)
    world.settle()

    assert world.condition("ConfigValid") == ("True", "Valid")
    assert world.wrote(world.reconcile) == []
    assert world.evaluate() == world.evaluate()


@FEW
@given(running)
def test_every_name_and_label_is_one_that_kubernetes_takes(spec: Any) -> None:
    world = world_of(spec)
    world.reconcile()

    for ref, body in world.objects().items():
        assert DNS_1035.fullmatch(ref.name), ref
        for value in body["metadata"]["labels"].values():
            assert LABEL_VALUE.fullmatch(value), (ref, value)


@FEW
@given(running)
def test_a_deployment_selects_its_own_pods_and_no_others(spec: Any) -> None:
    world = world_of(spec)
    world.reconcile()

    for body in _of_kind(world, Kind.DEPLOYMENT).values():
        selector = body["spec"]["selector"]["matchLabels"]
        assert set(selector) == {names.SYSTEM, names.AGENT, names.SLOT}
        labels = body["spec"]["template"]["metadata"]["labels"]
        assert selector.items() <= labels.items()


@FEW
@given(running)
def test_no_child_reads_a_secret_but_as_an_optional_file(spec: Any) -> None:
    world = world_of(spec)
    world.reconcile()

    for body in _of_kind(world, Kind.DEPLOYMENT).values():
        pod = body["spec"]["template"]["spec"]
        for variable in pod["containers"][0]["env"]:
            assert "secretKeyRef" not in variable.get("valueFrom", {})
        for volume in pod["volumes"]:
            assert volume.get("secret", {"optional": True})["optional"] is True


@FEW
@given(running)
def test_every_pod_is_restricted(spec: Any) -> None:
    world = world_of(spec)
    world.reconcile()

    for body in _of_kind(world, Kind.DEPLOYMENT).values():
        pod = body["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@FEW
@given(running)
def test_a_rendered_config_is_closed(spec: Any) -> None:
    """What it names it also holds, so the runtime needs nothing else."""
    world = world_of(spec)
    world.reconcile()

    for ref, body in _of_kind(world, Kind.CONFIG_MAP).items():
        if ref == names.cluster_keys(world.key):
            continue
        config = orjson.loads(body["data"][agent_config.FILE])
        (route,) = config["routes"]
        (agent,) = config["agents"]
        assert agent["route"] == route["name"]
        chain = {target["provider"] for target in route["chain"]}
        assert chain == {provider["name"] for provider in config["providers"]}


@FEW
@given(running, running)
def test_any_edit_ends_where_a_fresh_install_ends(old: Any, new: Any) -> None:
    """But for volumes, which stay, and the history of revisions."""
    edited = world_of(old)
    edited.settle()
    edited.config_maps |= world_of(new).config_maps
    edited.spec, edited.generation = new, 2
    edited.settle(passes=30)
    edited.collect_garbage()
    _forget_old_replica_sets(edited)
    edited.settle()

    fresh = world_of(new)
    fresh.settle()

    assert _comparable(edited) == _comparable(fresh)
    assert edited.condition("Ready")[0] == fresh.condition("Ready")[0]


@FEW
@given(junk | specs_of_junk, junk)
def test_whatever_is_stored_is_answered_and_never_raises(spec: Any, status: Any) -> None:
    world = World(spec, status=status if isinstance(status, dict) else {})

    evaluation = world.evaluate()

    assert evaluation.actions == ()
    assert evaluation.status is not None
    assert evaluation.conditions["ConfigValid"] == ("False", "SpecInvalid")


@FEW
@given(running, junk)
def test_a_status_of_junk_is_replaced(spec: Any, status: Any) -> None:
    world = world_of(spec)
    world.status = {"conditions": status, "agents": status, "revision": status}
    world.settle()

    assert world.status["observedGeneration"] == 1


@FEW
@given(running, st.data())
def test_doubt_never_deletes_or_lowers(spec: Any, data: st.DataObject) -> None:
    world = world_of(spec)
    world.settle()
    lost = data.draw(st.sampled_from(sorted(world.objects(), key=str)))
    del world.things[lost]
    world.unreadable.add(lost)
    for name in world.config_maps:
        if data.draw(st.booleans()):
            world.config_maps[name] = Unknown("timeout")

    kinds = {type(action).__name__ for action in world.evaluate().actions}

    assert kinds <= {"Apply"}


@FEW
@given(running)
def test_what_is_owned_is_what_was_applied(spec: Any) -> None:
    """The digest does not depend on replicas, which are born with us and handed over."""
    world = world_of(spec)
    world.reconcile()

    for ref, body in _of_kind(world, Kind.DEPLOYMENT).items():
        fields = ownership.owned_fields(ref.kind, body)
        handed_over = {**body, "spec": {k: v for k, v in body["spec"].items() if k != "replicas"}}
        assert "f:replicas" not in fields["f:spec"]
        assert fields == ownership.owned_fields(ref.kind, handed_over)


def _of_kind(world: World, kind: Kind) -> dict[Ref, Any]:
    found = {ref: body for ref, body in world.objects().items() if ref.kind is kind}
    assert found
    return found


def _forget_old_replica_sets(world: World) -> None:
    current = {t.child.rollout.revision for t in world.things.values() if t.child.rollout}
    for ref, thing in list(world.things.items()):
        if ref.kind is Kind.REPLICA_SET and thing.child.revision not in current:
            del world.things[ref]


def _comparable(world: World) -> dict[str, Any]:
    replicas = {t.child.agent: t.child.rollout.wanted for t in world.things.values()
                if t.child.rollout}  # fmt: skip
    kept = (Kind.PERSISTENT_VOLUME_CLAIM, Kind.CONTROLLER_REVISION)
    intents = {str(r): t.child.intent for r, t in world.things.items()
               if r.kind not in (*kept, Kind.REPLICA_SET)}  # fmt: skip
    return {"replicas": replicas, "intents": intents}
