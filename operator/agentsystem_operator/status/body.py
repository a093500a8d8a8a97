"""The status as it is written, and whether it has to be.

Live counts move with every pod; they ride along with a change that matters, or are written once
after they have stood still (I7). `lastTransitionTime` moves only with a condition's status.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from agentsystem_operator.api.reasons import ConditionType, Reason
from agentsystem_operator.decide import budget
from agentsystem_operator.decide.pins import HeldBack
from agentsystem_operator.decide.providers import Outlook
from agentsystem_operator.decide.rollout import Stage
from agentsystem_operator.model import hashing, names
from agentsystem_operator.model.observed import Remembered
from agentsystem_operator.status import conditions
from agentsystem_operator.status.conditions import Verdict
from agentsystem_operator.status.report import Report, Row

Status = Mapping[str, Any]

PINNED_CHARACTERS = 256
"""An image's name may be longer than that; a reader knows it by its beginning."""
COUNTS_SETTLE = timedelta(seconds=10)
"""How long counts must stand still before they are worth a write of their own."""


@dataclass(frozen=True, slots=True)
class Writing:
    """What to do about the status."""

    status: Status | None
    look_again: datetime | None
    remembered: Remembered


def compose(
    report: Report, verdicts: Mapping[ConditionType, Verdict], previous: Status
) -> dict[str, Any]:
    """Return the complete status."""
    times = {
        condition.get("type"): (condition.get("status"), condition.get("lastTransitionTime"))
        for condition in _objects(previous, "conditions")
    }
    revision = {"desired": report.desired, "active": report.active}
    pinned = {agent.get("name"): agent.get("pinned") for agent in _objects(previous, "agents")}
    return {
        "observedGeneration": report.generation,
        "conditions": [
            {
                "type": kind.value,
                "status": verdict.status.value,
                "reason": verdict.reason.value,
                "message": verdict.message,
                "observedGeneration": report.generation,
                "lastTransitionTime": _since(times.get(kind.value), verdict, report.now),
            }
            for kind, verdict in verdicts.items()
        ],
        "revision": {name: value for name, value in revision.items() if value},
        "readyAgents": sum(row.complete for row in report.rows),
        "totalAgents": len(report.rows),
        "agents": [_agent(row, report, pinned.get(row.name)) for row in report.rows],
        **({} if report.outlook is None else _outlook(report.outlook)),
    }


def _outlook(outlook: Outlook) -> dict[str, Any]:
    return {
        "providers": [
            {
                "name": each.name,
                "state": each.state.value,
                "since": conditions.rfc3339(each.since),
                **({"reason": each.reason} if each.reason else {}),
            }
            for each in outlook.providers
        ],
        "routes": [
            {"name": each.name, **({"active": each.active} if each.active else {})}
            for each in outlook.routes
        ],
        **({} if outlook.budget is None else {"budget": _budget(outlook.budget)}),
    }


def _budget(found: budget.Finding) -> dict[str, Any]:
    said = {"state": found.state.value, "since": conditions.rfc3339(found.since)}
    return {**said, "reason": found.reason} if found.reason else said


def weigh(wanted: Status, previous: Status, *, report: Report, past: Remembered) -> Writing:
    """Return whether `wanted` is written now, later or not at all."""
    composed = hashing.of(wanted)
    same = composed == past.composed
    since = past.composed_since if same and past.composed_since else report.now
    remembered = replace(past, composed=composed, composed_since=since)
    if wanted == previous:
        return Writing(None, None, remembered)
    if _essence(wanted) != _essence(previous) or report.now - since >= COUNTS_SETTLE:
        return Writing(wanted, None, remembered)
    return Writing(None, since + COUNTS_SETTLE, remembered)


def revision(previous: Status, name: str) -> str:
    """Return a revision that was reported before, "" when there is none."""
    found = previous.get("revision")
    value = found.get(name) if isinstance(found, Mapping) else None
    return value if isinstance(value, str) else ""


def _agent(row: Row, report: Report, pinned_before: Any) -> dict[str, Any]:
    body = {
        "name": row.name,
        "slot": names.ACTIVE_SLOT,
        "desired": row.desired,
        "ready": row.live.ready if row.live else 0,
        "revision": row.revision,
        "reason": _reason(row, report).value,
        "claim": row.claim,
        # While nothing can be planned, nothing is adopted either: what was reported still holds.
        "pinned": pinned_before if row.held_back is None else _pinned(row.held_back),
    }
    return {key: value for key, value in body.items() if value not in (None, "", [])}


def _pinned(held_back: tuple[HeldBack, ...]) -> list[dict[str, str]]:
    return [
        {
            "setting": item.what.value,
            "held": item.held[:PINNED_CHARACTERS],
            "next": item.next[:PINNED_CHARACTERS],
        }
        for item in held_back
    ]


def _reason(row: Row, report: Report) -> Reason:
    if row.stage is Stage.OVERDUE:
        return Reason.DEADLINE_EXCEEDED
    if row.stage is Stage.PENDING and report.paused:
        return Reason.PAUSED_BY_SPEC
    if row.stage is Stage.PENDING and report.faults:
        return report.faults[0].reason
    if row.stage is not Stage.DONE:
        return Reason.ROLLING_OUT
    if row.desired == 0:
        return Reason.SCALED_TO_ZERO
    if row.complete:
        return Reason.AGENT_READY
    waiting = conditions.waits_for_volume(row, report)
    return Reason.WAITING_FOR_VOLUME if waiting else Reason.BELOW_DESIRED


def _since(before: tuple[Any, Any] | None, verdict: Verdict, now: datetime) -> str:
    if before and before[0] == verdict.status.value and isinstance(before[1], str):
        return before[1]
    return conditions.rfc3339(now)


# What moves pod by pod. The message of ConfigValid never does: it names fields, not pods.
_LIVE_COUNTS = frozenset({"readyAgents"})
_LIVE_AGENT = frozenset({"ready", "reason"})


def _essence(status: Status) -> dict[str, Any]:
    """Return the status without what moves pod by pod."""
    kept = {key: value for key, value in status.items() if key not in _LIVE_COUNTS}
    kept["agents"] = [_without(agent, _LIVE_AGENT) for agent in _objects(status, "agents")]
    kept["conditions"] = [_steady(condition) for condition in _objects(status, "conditions")]
    return kept


def _steady(condition: Mapping[str, Any]) -> Mapping[str, Any]:
    if condition.get("type") == ConditionType.CONFIG_VALID.value:
        return condition
    return _without(condition, frozenset({"message"}))


def _without(body: Mapping[str, Any], fields: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in fields}


def _objects(status: Status, field: str) -> list[Mapping[str, Any]]:
    found = status.get(field)
    items = found if isinstance(found, list) else []
    return [item for item in items if isinstance(item, Mapping)]
