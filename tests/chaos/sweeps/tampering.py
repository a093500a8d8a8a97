"""Sweep (h): somebody else changes, empties or deletes the children of a settled system.

Field by field, as the apiserver records what is ours: one write (two where one cannot, `writes_of`)
brings each back within seconds, and an Event names the object. Seed 1 takes every field in order,
later ones some in any order. An object whose owner reference was removed is not ours any more:
nothing is written until a person puts it back or deletes the object (`owner_removed`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos import fingerprint, owned, stories
from tests.chaos.admin import JSON_PATCH, Refused, eventually
from tests.chaos.oracle import Ending
from tests.chaos.owned import Owned
from tests.chaos.rig import Case, Operator
from tests.chaos.stories import Story
from tests.chaos.sweeps import owner_removed
from tests.chaos.trial import Reference, References, Trial
from tests.kube import PATHS, Object

LETTER = "h"
PATTERN = "children tampered with"
RESTORED_S = 10.0
SHARE = 0.6
"""Of an object's fields so many can be changed at least: the apiserver refuses the rest itself."""
FIELDS = 6
"""So many fields of an object are tampered with by later seeds."""
SOMEBODY = "kubectl-edit"

Target = tuple[str, str]
"""Kind and name; a name that ends in `-` is the beginning of the only such one."""
CHILDREN: tuple[Target, ...] = (
    ("Deployment", "sys--front-a"),
    ("Service", "sys--front"),
    ("Service", "sys"),
    ("ConfigMap", "sys--front-"),
    ("ServiceAccount", "sys--front"),
    ("PodDisruptionBudget", "sys--front"),
    ("NetworkPolicy", "sys--front"),
    ("ControllerRevision", "sys--"),
)
"""One of every kind that is kept as it is intended, and the system's own Service."""
CLAIM: Target = ("PersistentVolumeClaim", "sys--research")
THEIRS = {"example.com/cost-centre": "4711"}
LEFT_ALONE_S = 5.0


async def trials(references: References, beginnings: Sequence[str]) -> list[Trial]:
    """Return the cases: each kind emptied and changed, each child deleted, replicas, owners."""
    del references, beginnings
    on_disk = stories.STANDING_ON_DISK
    return [
        *(tampering(target, how) for target in CHILDREN for how in HOWS),
        *(tampering(CHILDREN[0], how, on_disk) for how in HOWS),
        *(deleted(target) for target in CHILDREN),
        deleted(CLAIM, on_disk),
        scaled(CHILDREN[0]),
        *(added(target) for target in CHILDREN),
        added(CLAIM, on_disk),
        *owner_removed.trials(),
    ]


@dataclass(frozen=True, slots=True)
class How:
    """A way to tamper with one field."""

    name: str
    patch: Callable[[Owned], list[Object]]
    fits: Callable[[Owned], bool]


HOWS = (
    How("changed", Owned.changed, lambda field: not (field.is_item or field.is_key)),
    How("removed", Owned.removed, lambda field: not field.is_key),
)


def tampering(target: Target, how: How, story: Story = stories.STANDING) -> Trial:
    """Return the case in which one object is tampered with in one way."""
    runs: dict[str, Tampering] = {}

    async def disturb(case: Case, operator: Operator) -> None:
        runs[case.ns] = Tampering(target, how)
        await runs[case.ns].tamper(case, operator)

    async def after(case: Case, operator: Operator) -> list[str]:
        return await runs[case.ns].judged(case, operator)

    name = f"{story.name}/{target[0]}-{target[1].strip('-')}/{how.name}"
    return Trial(name, story, disturb, after=after, judge=restored)


@dataclass(slots=True)
class Tampering:
    """One run that tampers with fields of one object, one after the other."""

    target: Target
    how: How
    wrong: list[str] = field(default_factory=list)
    meant: int = 0
    tampered: int = 0
    refused: list[str] = field(default_factory=list)

    async def tamper(self, case: Case, operator: Operator) -> None:
        """Tamper, and wait each time until it is restored."""
        wanted = owned.fields(await find(case, self.target))
        names = [name for name, field_ in wanted.items() if self.how.fits(field_)]
        if case.seed > 1:
            names = random.Random(case.seed).sample(names, min(FIELDS, len(names)))  # noqa: S311
        self.meant = len(names)
        for name in names:
            await self._one(case, operator, name, wanted=wanted)

    async def _one(
        self, case: Case, operator: Operator, name: str, *, wanted: Mapping[str, Owned]
    ) -> None:
        live = await find(case, self.target)
        before = written(operator, live)
        try:
            after = await patched(case, live, self.how.patch(owned.fields(live)[name]))
        except Refused:
            self.refused.append(name)
            return
        if values(owned.fields(after)) == values(owned.fields(live)):
            return  # filled in again by the apiserver, with the same
        self.tampered += 1
        operator.disturb()

        async def is_restored() -> bool:
            now = owned.fields(await find(case, self.target))
            # The write is on record only when it was answered, which may be after we look.
            return values(now) == values(wanted) and written(operator, live) > before

        await eventually(f"{name} restored", is_restored, within_s=RESTORED_S, every_s=0.1)
        writes = written(operator, live) - before
        if writes != writes_of(wanted[name]):
            self.wrong.append(f"{name} took {writes} writes")

    async def judged(self, case: Case, operator: Operator) -> list[str]:
        """Return what is wrong with how it was restored and told."""
        live = await find(case, self.target)
        if case.seed == 1 and self.tampered < SHARE * self.meant:
            self.wrong.append(
                f"only {self.tampered} of {self.meant} fields tampered with;"
                f" refused: {self.refused}"
            )
        await case.settle()
        self.wrong += told(operator, live, self.tampered)
        self.wrong += await unannounced(case, live)
        return self.wrong


def deleted(target: Target, story: Story = stories.STANDING) -> Trial:
    """Return the case in which somebody deletes a child."""
    names: dict[str, Object] = {}

    async def disturb(case: Case, operator: Operator) -> None:
        live = names[case.ns] = await find(case, target)
        uid = live["metadata"]["uid"]
        await case.delete(live["kind"], live["metadata"]["name"])
        operator.disturb()

        async def is_made_again() -> bool:
            found = await case.admin.get(live["kind"], live["metadata"]["name"], case.ns)
            return found is not None and found["metadata"]["uid"] != uid

        await eventually("made again", is_made_again, within_s=RESTORED_S)

    async def after(case: Case, operator: Operator) -> list[str]:
        live = names[case.ns]
        await case.settle()
        about = (PATHS[live["kind"]].rpartition("/")[2], live["metadata"]["name"])
        made = operator.proxy.record.created().count(about)
        wrong = [] if made == 2 else [f"made {made} times in all, not twice"]
        return wrong + await unannounced(case, live, "Missing")

    name = f"deleted/{target[0]}-{target[1].strip('-')}"
    return Trial(name, story, disturb, after=after, judge=restored, seeded=False)


def scaled(target: Target, replicas: int = 5) -> Trial:
    """Return the case in which somebody sets a Deployment's replicas."""

    async def disturb(case: Case, operator: Operator) -> None:
        live = await find(case, target)
        wanted = live["spec"]["replicas"]
        await patched(case, live, [_replace("/spec/replicas", replicas)])
        operator.disturb()

        async def is_restored() -> bool:
            return bool((await find(case, target))["spec"]["replicas"] == wanted)

        await eventually("replicas restored", is_restored, within_s=RESTORED_S)

    async def after(case: Case, operator: Operator) -> list[str]:
        del operator
        await case.settle()
        return await unannounced(case, await find(case, target))

    name = f"scaled/{target[0]}-{target[1].strip('-')}"
    return Trial(name, stories.STANDING, disturb, after=after, judge=restored, seeded=False)


def added(target: Target, story: Story = stories.STANDING) -> Trial:
    """Return the case in which somebody adds a label and an annotation: theirs to keep.

    A Deployment gets a label only: its controller copies annotations to ReplicaSets, for ever.
    """
    places = ("labels",) if target[0] == "Deployment" else ("labels", "annotations")

    async def disturb(case: Case, operator: Operator) -> None:
        await _marked(case, target, dict.fromkeys(places, THEIRS))
        operator.disturb()

    async def after(case: Case, operator: Operator) -> list[str]:
        await asyncio.sleep(LEFT_ALONE_S)
        live = await find(case, target)
        wrong = [
            f"{field} are not theirs any more"
            for field in places
            if not THEIRS.items() <= live["metadata"].get(field, {}).items()
        ]
        wrong += [
            f"written: {entry}" for entry in operator.proxy.record.writes(since=operator.disturbed)
        ]
        # The judge compares with a world without them.
        await _marked(case, target, dict.fromkeys(places, dict.fromkeys(THEIRS)))
        return wrong

    name = f"added/{target[0]}-{target[1].strip('-')}"
    return Trial(name, story, disturb, after=after, judge=restored, seeded=False)


async def _marked(case: Case, target: Target, metadata: Mapping[str, Any]) -> None:
    live = await find(case, target)
    await case.admin.patch(live["kind"], live["metadata"]["name"], case.ns, {"metadata": metadata})


def _replace(path: str, value: object) -> Object:
    return {"op": "replace", "path": path, "value": value}


def restored(seen: Ending, reference: Reference) -> list[str]:
    """The world is as before, the history of the tampering aside."""
    before = fingerprint.without_history(reference.ending.world, of=reference.ending.world)
    return fingerprint.differences(
        fingerprint.without_history(seen.world, of=reference.ending.world), before
    )


def writes_of(wanted: Owned) -> int:
    """Return how many writes restore a field.

    No apply can bring Recreate back: it has to be set before.
    """
    return 2 if wanted.value == "Recreate" else 1


def values(fields: Mapping[str, Owned]) -> dict[str, object]:
    """Return the values by the names of their fields, without the order of lists' items."""
    return {name: None if found.is_item else found.value for name, found in fields.items()}


async def find(case: Case, target: Target) -> Object:
    """Return a child of the case, with its kind."""
    kind, name = target
    if not name.endswith("-"):
        found = await case.admin.get(kind, name, case.ns)
    else:
        items = await case.admin.list(kind, case.ns)
        found = next((i for i in items if i["metadata"]["name"].startswith(name)), None)
    assert found is not None, f"{kind}/{name} is missing"
    return {**found, "kind": kind}


async def patched(case: Case, live: Object, patch: list[Object]) -> Object:
    """Patch an object as a person would; raises Refused."""
    path = f"{PATHS[live['kind']].format(ns=case.ns)}/{live['metadata']['name']}"
    found = await case.admin.call(
        "PATCH", f"{path}?fieldManager={SOMEBODY}", patch, kind=JSON_PATCH
    )
    assert found is not None
    return found


def written(operator: Operator, live: Object) -> int:
    """Return how often an object of the name and kind was written."""
    about = (PATHS[live["kind"]].rpartition("/")[2], live["metadata"]["name"])
    return operator.proxy.record.touched().count(about)


def told(operator: Operator, live: Object, times: int) -> list[str]:
    """Return a complaint unless each write was logged, and so counted, as what it was."""
    name = live["metadata"]["name"]
    found = [
        line["reason"]
        for line in operator.process.lines()
        if (line.get("kind"), line.get("object")) == (live["kind"], name)
        and line.get("message") == "Apply done"
    ]
    wanted = found.count("Tampered")
    return [] if wanted == times else [f"{wanted} of {times} writes told as Tampered: {found}"]


async def unannounced(case: Case, live: Object, reason: str = "Tampered") -> list[str]:
    """Return a complaint unless an Event of that reason names the object."""
    ref = f"{live['kind']} '{live['metadata']['name']}'"
    events = await case.admin.list("Event", case.ns)
    notes = [event.get("note", "") for event in events if event.get("reason") == reason]
    return [] if any(ref in note for note in notes) else [f"no Event {reason} names {ref}"]
