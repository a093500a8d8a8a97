"""What happens to a system in a chaos case: how it stands, what is changed, how it has to end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests import builders
from tests.chaos.rig import SYSTEM, Case
from tests.kube import Object

Step = Callable[[Case], Awaitable[None]]
TEXTS = "texts"


@dataclass(frozen=True, slots=True)
class Story:
    """A beginning, a change, and the objects that the user declares in the end."""

    name: str
    before: Step
    """Declares the beginning; the case lets it settle before anything is disturbed."""
    change: Step
    """What faults may hit."""
    declared: Callable[[str], list[Object]]
    """What the user declares in the end, for a fresh install in a namespace; nothing when the
    system is deleted."""


def front(**more: Any) -> Object:
    """The entry agent; its instructions come from a ConfigMap."""
    agent = builders.agent(**{"replicas": 2, **more})
    if "instructions" not in more:
        del agent["instructions"]
        agent["instructionsFrom"] = {"configMapKeyRef": {"name": TEXTS, "key": "front"}}
    return agent


def research(**more: Any) -> Object:
    """The other agent, with one pod."""
    return builders.agent(**{"name": "research", "replicas": 1, **more})


def texts(ns: str, front: str = "You are front.") -> Object:
    """The ConfigMap that the entry agent's instructions come from."""
    return builders.config_map(TEXTS, ns, front=front)


def system(ns: str, *agents: Object, **spec: Any) -> Object:
    """The system, with both agents unless others are given."""
    return builders.system(SYSTEM, ns, agents=list(agents) or [front(), research()], **spec)


def sqlite(ns: str, *agents: Object) -> Object:
    """The system with sessions on volumes, one pod per agent."""
    some = list(agents) or [front(replicas=1), research()]
    return system(ns, *some, memory={"sessions": {"store": "SQLite"}})


def edited(
    name: str,
    after: Callable[[str], Object],
    *,
    of: Callable[[str], Object] = system,
    text: str = "",
) -> Story:
    """A story in which a settled system is edited, or its ConfigMap, or both."""

    def declared(ns: str) -> list[Object]:
        return [texts(ns, text) if text else texts(ns), after(ns)]

    async def before(case: Case) -> None:
        await case.apply(texts(case.ns))
        await case.apply(of(case.ns))

    async def change(case: Case) -> None:
        if text:
            await case.apply(texts(case.ns, text))
        await case.apply(after(case.ns))

    return Story(name, before, change, declared)


async def nothing(_: Case) -> None:
    """Begin with an empty namespace, or change nothing."""


async def _create(case: Case) -> None:
    await case.apply(texts(case.ns))
    await case.apply(sqlite(case.ns))


async def _delete(case: Case) -> None:
    await case.delete("AgentSystem", SYSTEM)


async def _recreate(case: Case) -> None:
    """Delete the system and create it under the same name at once: another uid."""
    await case.delete("AgentSystem", SYSTEM)
    await case.apply(sqlite(case.ns))


async def _live_and_die(case: Case) -> None:
    await _create(case)
    await case.settle()
    await _delete(case)


def and_back(name: str, *, there: Callable[[str], list[Object]]) -> Story:
    """A story in which something is changed and at once changed back."""

    async def change(case: Case) -> None:
        for body in (*there(case.ns), *_plain(case.ns)):
            await case.apply(body)

    async def before(case: Case) -> None:
        for body in _plain(case.ns):
            await case.apply(body)

    return Story(name, before, change, _plain)


def _plain(ns: str) -> list[Object]:
    return [texts(ns), system(ns)]


def _installed(ns: str) -> list[Object]:
    return [texts(ns), sqlite(ns)]


CREATE = Story("create", nothing, _create, _installed)
DELETE = Story("delete", _create, _delete, lambda _: [])
RECREATE = Story("recreate", _create, _recreate, _installed)
SHORT_LIFE = Story("short-life", nothing, _live_and_die, lambda _: [])
IMAGE = edited("image", lambda ns: system(ns, runtime={"image": "example.org/agent:2"}))
INSTRUCTIONS = edited(
    "instructions", lambda ns: system(ns, front(instructions="Be brief."), research())
)
REPLICAS = edited("replicas", lambda ns: system(ns, front(replicas=3), research(replicas=0)))
TWO_AGENTS = edited(
    "two-agents",
    lambda ns: system(ns, front(env=[{"name": "A", "value": "1"}]), research(instructions="Dig.")),
)
REMOVAL = edited("agent-removed", lambda ns: sqlite(ns, front(replicas=1)), of=sqlite)
CONFIG_MAP = edited("config-map", system, text="You are somebody else.")
ALL = (CREATE, IMAGE, INSTRUCTIONS, REPLICAS, TWO_AGENTS, REMOVAL, DELETE, CONFIG_MAP)
"""Create, edit, agent removal, delete, and a change of a ConfigMap."""

THERE_AND_BACK = and_back(
    "there-and-back", there=lambda ns: [system(ns, runtime={"image": "example.org/agent:2"})]
)
ONE_THREE_ONE = and_back(
    "one-three-one", there=lambda ns: [system(ns, front(replicas=6), research(replicas=3))]
)
REMOVED_AND_BACK = and_back("removed-and-back", there=lambda ns: [system(ns, front())])
TEXT_AND_BACK = and_back("text-and-back", there=lambda ns: [texts(ns, "You are somebody else.")])
AND_BACK = (THERE_AND_BACK, ONE_THREE_ONE, REMOVED_AND_BACK, TEXT_AND_BACK)
"""Changes that end where they began."""


def standing(name: str, of: Callable[[str], Object]) -> Story:
    """A story in which the user changes nothing: a system stands, and others disturb it."""

    def declared(ns: str) -> list[Object]:
        return [texts(ns), of(ns)]

    async def before(case: Case) -> None:
        for body in declared(case.ns):
            await case.apply(body)

    return Story(name, before, nothing, declared)


STANDING = standing("standing", lambda ns: system(ns, front(replicas=1), research(replicas=0)))
STANDING_ON_DISK = standing(
    "standing-on-disk", lambda ns: sqlite(ns, front(replicas=1), research(replicas=0))
)
