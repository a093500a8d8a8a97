"""Part of sweep (h): a child without its owner reference is somebody else's.

The system says NameTaken and writes nothing, whatever is declared meanwhile, until a person puts
the reference back or deletes the object; then it goes on by itself.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from tests.chaos import fingerprint, oracle, stories
from tests.chaos.admin import MERGE, eventually
from tests.chaos.oracle import Ending
from tests.chaos.rig import Case, Operator
from tests.chaos.trial import Reference, Trial
from tests.kube import PATHS, Object, conditions

CHILDREN = {
    "Deployment": "sys--research-a",
    "Service": "sys--research",
    "ConfigMap": "sys--research-",
    "ServiceAccount": "sys--research",
    "PodDisruptionBudget": "sys--research",
    "NetworkPolicy": "sys--research",
    "ControllerRevision": "sys--",
}
"""One child of every kind that has an owner."""
OF_A_REVISION = ("ConfigMap", "ControllerRevision")
SOON_S = 15.0
"""How soon the system says what is wrong, and that all is well: a second or two, and much more on a
busy machine, but less than it takes until a name is looked at again."""
HELD_S = 5.0
"""How long nothing is written although the spec was changed."""
RETRY_S = 30.0 + 5.0
"""A name is looked at again every 30 s, when nothing tells of it."""


def trials() -> list[Trial]:
    """Return three cases per kind."""
    return [
        trial(kind, heals=heals)
        for kind in CHILDREN
        for heals in ("put-back", "deleted", "hidden-and-deleted")
    ]


def trial(kind: str, *, heals: str) -> Trial:
    """Return the case of one kind and one way out."""
    runs: dict[str, Disowned] = {}

    async def disturb(case: Case, operator: Operator) -> None:
        runs[case.ns] = Disowned(kind, heals)
        await runs[case.ns].disown(case, operator)

    async def after(case: Case, operator: Operator) -> list[str]:
        return await runs[case.ns].hold_and_heal(case, operator)

    name = f"owner-removed/{kind}/{heals}"
    # Another revision would need other names of these kinds, and the one in question no more.
    story = stories.REPLICAS if kind in OF_A_REVISION else stories.IMAGE
    judge = as_if_never_disowned
    return Trial(name, story, disturb, after=after, judge=judge, seeded=False)


@dataclass(slots=True)
class Disowned:
    """One run: a child loses its owner, the spec is edited, and a person decides."""

    kind: str
    heals: str
    name: str = ""
    owners: list[Object] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    async def disown(self, case: Case, operator: Operator) -> None:
        """Remove the owner reference, and wait until the system says so."""
        live = await self._find(case)
        self.name, self.owners = live["metadata"]["name"], live["metadata"]["ownerReferences"]
        change: Object = {"ownerReferences": None}
        if self.heals == "hidden-and-deleted":
            change["labels"] = None
        await self._patch(case, change)
        operator.disturb()
        await eventually("NameTaken is said", lambda: self._is_told(case), within_s=SOON_S)

    async def hold_and_heal(self, case: Case, operator: Operator) -> list[str]:
        """See that nothing is written, heal it as a person would, and see that it goes on."""
        await eventually("the edit is seen", lambda: self._is_told(case), within_s=SOON_S)
        mark = operator.disturbed
        await asyncio.sleep(HELD_S)
        self.wrong += [
            f"written although the name is taken: {entry}"
            for entry in operator.proxy.record.writes(since=mark)
            if entry.asked.resource not in ("agentsystems/status", "events")
        ]
        await self._heal(case)
        healing = time.monotonic()
        await eventually("it is ours again", lambda: self._is_valid(case), within_s=RETRY_S)
        if self.heals != "hidden-and-deleted" and time.monotonic() - healing > SOON_S:
            self.wrong.append(f"healed only after {time.monotonic() - healing:.0f} s")
        operator.disturb()
        return self.wrong

    async def _heal(self, case: Case) -> None:
        if self.heals == "put-back":
            await self._patch(case, {"ownerReferences": self.owners})
        else:
            await case.delete(self.kind, self.name)

    async def _find(self, case: Case) -> Object:
        items = await case.admin.list(self.kind, case.ns, labels=fingerprint.OURS)
        return next(i for i in items if i["metadata"]["name"].startswith(CHILDREN[self.kind]))

    async def _patch(self, case: Case, meta: Object) -> None:
        path = f"{PATHS[self.kind].format(ns=case.ns)}/{self.name}?fieldManager=kubectl-edit"
        await case.admin.call("PATCH", path, {"metadata": meta}, kind=MERGE)

    async def _is_told(self, case: Case) -> bool:
        valid = conditions(await case.system()).get("ConfigValid", {})
        return valid.get("reason") == "NameTaken" and f"'{self.name}'" in valid["message"]

    async def _is_valid(self, case: Case) -> bool:
        system = await case.system()
        valid = conditions(system).get("ConfigValid", {})
        assert system is not None
        current = valid.get("observedGeneration") == system["metadata"]["generation"]
        return valid.get("status") == "True" and current


def as_if_never_disowned(seen: Ending, _: Reference) -> list[str]:
    """No claim was deleted; that the world is a fresh one is judged of every case."""
    return oracle.no_volume_deleted(seen)
