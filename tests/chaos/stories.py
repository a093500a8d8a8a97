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


async def _nothing(_: Case) -> None:
    """Begin with an empty namespace."""


async def _create(case: Case) -> None:
    await case.apply(texts(case.ns))
    await case.apply(sqlite(case.ns))


async def _sqlite(case: Case) -> None:
    await _create(case)


async def _delete(case: Case) -> None:
    await case.delete("AgentSystem", SYSTEM)


CREATE = Story("create", _nothing, _create, lambda ns: [texts(ns), sqlite(ns)])
DELETE = Story("delete", _sqlite, _delete, lambda _: [])
EDITS = (
    edited("image", lambda ns: system(ns, runtime={"image": "example.org/agent:2"})),
    edited("instructions", lambda ns: system(ns, front(instructions="Be brief."), research())),
    edited("replicas", lambda ns: system(ns, front(replicas=3), research(replicas=0))),
    edited(
        "two-agents",
        lambda ns: system(
            ns, front(env=[{"name": "A", "value": "1"}]), research(instructions="Dig.")
        ),
    ),
)
REMOVAL = edited("agent-removed", lambda ns: sqlite(ns, front(replicas=1)), of=sqlite)
CONFIG_MAP = edited("config-map", system, text="You are somebody else.")

ALL = (CREATE, *EDITS, REMOVAL, DELETE, CONFIG_MAP)
