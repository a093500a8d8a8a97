"""Whether everything that a spec refers to outside itself is there, and its text.

Imported by plan, status and the engine; reads nothing itself. A ConfigMap that could not be read is
neither there nor missing: that is doubt, and doubt keeps what runs as it is (I1, I2).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agentsystem_operator.api.kubernetes import KeyReference
from agentsystem_operator.api.reasons import Reason
from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.model.observed import Absent, Text, Unknown

Texts = Mapping[tuple[str, str], str]
"""Content by (ConfigMap, key)."""
ConfigMaps = Mapping[str, Text | Absent | Unknown]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing outside the spec that keeps it from being carried out."""

    reason: Reason
    path: str
    """The field that asks for it, such as spec.agents[1].instructionsFrom.configMapKeyRef."""
    message: str
    passes: bool = False
    """Whether it may be over without anybody changing the spec or an object of the system."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Every reference was found."""

    texts: Texts


@dataclass(frozen=True, slots=True)
class Broken:
    """At least one reference leads nowhere."""

    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Unread:
    """These ConfigMaps have to be read first."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Doubtful:
    """These ConfigMaps could not be read; nothing is concluded from that."""

    names: tuple[str, ...]


Resolution = Resolved | Broken | Unread | Doubtful


@dataclass(frozen=True, slots=True)
class _Use:
    path: str
    ref: KeyReference


def names(spec: AgentSystemSpec) -> frozenset[str]:
    """Return the names of the ConfigMaps that the spec refers to."""
    return frozenset(use.ref.name for use in _uses(spec))


def resolve(spec: AgentSystemSpec, config_maps: ConfigMaps) -> Resolution:
    """Return all texts, or what stands in the way: what is unread, then doubt, then faults."""
    wanted = names(spec)
    unread = wanted - config_maps.keys()
    if unread:
        return Unread(unread)
    doubtful = sorted(name for name in wanted if isinstance(config_maps[name], Unknown))
    if doubtful:
        return Doubtful(tuple(doubtful))
    found = [(use, _look_up(use, config_maps)) for use in _uses(spec)]
    faults = tuple(answer for _, answer in found if isinstance(answer, Fault))
    if faults:
        return Broken(faults)
    return Resolved(
        {(use.ref.name, use.ref.key): text for use, text in found if isinstance(text, str)}
    )


def _uses(spec: AgentSystemSpec) -> Iterator[_Use]:
    for index, provider in enumerate(spec.providers):
        if provider.scripted and provider.scripted.config_map_key_ref:
            path = f"spec.providers[{index}].scripted.configMapKeyRef"
            yield _Use(path, provider.scripted.config_map_key_ref)
    for index, agent in enumerate(spec.agents):
        if agent.instructions_from:
            path = f"spec.agents[{index}].instructionsFrom.configMapKeyRef"
            yield _Use(path, agent.instructions_from.config_map_key_ref)


def _look_up(use: _Use, config_maps: ConfigMaps) -> str | Fault:
    found, name, key = config_maps[use.ref.name], use.ref.name, use.ref.key
    if not isinstance(found, Text):
        message = f"ConfigMap '{name}' does not exist; create it with key '{key}'"
        return Fault(Reason.CONFIG_MAP_MISSING, use.path, message, passes=True)
    if key not in found.items:
        message = f"ConfigMap '{name}' has no key '{key}' in its data; add it"
        return Fault(Reason.CONFIG_MAP_KEY_MISSING, use.path, message, passes=True)
    return found.items[key]
