"""The Events of a pass: one per thing that a person may want to hear of, in few words.

The shell sends equal ones once; the messages hold nothing that moves.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentsystem_operator.api.reasons import (
    BudgetState,
    ConditionStatus,
    ConditionType,
    ProviderState,
    Reason,
)
from agentsystem_operator.decide import budget, providers
from agentsystem_operator.model import names
from agentsystem_operator.model.actions import Action, Apply, Delete, Scale, Why
from agentsystem_operator.model.evaluation import Event, EventType
from agentsystem_operator.model.references import Kind
from agentsystem_operator.status.conditions import Verdict, rfc3339
from agentsystem_operator.status.report import Report

_DELETE = "Delete"
_TROUBLE = {
    ConditionType.CONFIG_VALID: ConditionStatus.TRUE,
    ConditionType.DEGRADED: ConditionStatus.FALSE,
}
"""The status of each condition that is no trouble."""
_SPENDING = (
    Reason.BUDGET_LOW, Reason.BUDGET_DEGRADED, Reason.BUDGET_EXHAUSTED, Reason.LEDGER_UNREACHABLE,
)  # fmt: skip


def of_pass(
    verdicts: Mapping[ConditionType, Verdict], actions: Sequence[Action], *, stood: bool
) -> tuple[Event, ...]:
    """Return the Events of one pass, troubles first.

    `stood`: everything that is wanted was there before, so what is missing was taken away.
    """
    told = (event for action in actions for event in _of_action(action, stood=stood))
    return (*_troubles(verdicts), *told)


def of_relief(report: Report, previous: Mapping[str, Any]) -> Iterator[Event]:
    """Yield an Event for whatever was reported as failing and is well: providers, the budget."""
    if report.outlook is None:
        return
    before = {e.name: e.state for e in providers.as_reported(previous).providers}
    for each in report.outlook.providers:
        failed = before.get(each.name) in (ProviderState.DOWN, ProviderState.IMPAIRED)
        if failed and each.state is ProviderState.HEALTHY:
            told = f"provider '{each.name}' answers again since {rfc3339(each.since)}"
            yield Event(EventType.NORMAL, Reason.PROVIDERS_ANSWER.value, told, "Evaluate")
    money, was = report.outlook.budget, budget.as_reported(previous, None)
    spent = was is not None and was.state in (BudgetState.DEGRADED, BudgetState.EXHAUSTED)
    if spent and money is not None and money.state is BudgetState.AVAILABLE:
        told = f"the budget is available again since {rfc3339(money.since)}"
        yield Event(EventType.NORMAL, Reason.BUDGET_LEFT.value, told, "Evaluate")


def told_of_kept(events: Sequence[Event], message: str) -> tuple[Event, ...]:
    """Return the Events of a pass whose deletions were refused: what was kept, not what is gone."""
    kept = Event(EventType.WARNING, Reason.APPLY_REFUSED.value, message, _DELETE)
    return (*(event for event in events if event.action != _DELETE), kept)


def _named(managers: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in managers) or "somebody else"


def _troubles(verdicts: Mapping[ConditionType, Verdict]) -> Iterator[Event]:
    for kind, well in _TROUBLE.items():
        verdict = verdicts[kind]
        if verdict.status is not well:
            yield Event(EventType.WARNING, verdict.reason.value, verdict.message, "Evaluate")
    outlook = verdicts.get(ConditionType.PROVIDERS_HEALTHY)
    # Unknown is how every system begins, and what the end of its last pod makes of it.
    if outlook is not None and outlook.status is ConditionStatus.FALSE:
        yield Event(EventType.WARNING, outlook.reason.value, outlook.message, "Evaluate")
    money = verdicts.get(ConditionType.BUDGET_AVAILABLE)
    if money is not None and money.reason in _SPENDING:
        yield Event(EventType.WARNING, money.reason.value, money.message, "Evaluate")


def _of_action(action: Action, *, stood: bool) -> Iterator[Event]:
    match action:
        case Apply(manifest=manifest, reason=Why.TAMPERED, by=by):
            message = f"{manifest.ref} had been changed by {_named(by)}; restored"
            yield Event(EventType.WARNING, Why.TAMPERED.value, message, "Apply")
        case Apply(manifest=manifest, reason=Why.MISSING) if stood:
            message = f"{manifest.ref} was missing; made again"
            yield Event(EventType.WARNING, Why.MISSING.value, message, "Apply")
        case Apply(manifest=manifest) if manifest.ref.kind is Kind.CONTROLLER_REVISION:
            message = f"rolling out revision {manifest.body['metadata']['labels'][names.REVISION]}"
            yield Event(EventType.NORMAL, Reason.ROLLING_OUT.value, message, "Apply")
        case Scale(ref=ref, replicas=replicas, reason=Why.TAMPERED, before=before, by=by):
            message = f"{ref} had been set to {before} replicas by {_named(by)}; set to {replicas}"
            yield Event(EventType.WARNING, Why.TAMPERED.value, message, "Scale")
        case Scale(ref=ref, replicas=replicas, reason=why, before=before):
            message = f"{ref} had {before} replicas; set to {replicas} as declared"
            yield Event(EventType.NORMAL, why.value, message, "Scale")
        case Delete(ref=ref) if ref.kind is Kind.DEPLOYMENT:
            message = f"{ref} deleted: its agent is no longer declared"
            yield Event(EventType.NORMAL, Why.NOT_WANTED.value, message, _DELETE)
        case _:
            return
