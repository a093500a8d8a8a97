"""The conditions of a system, each with the reason that a reader finds in the closed set.

One function per condition; what is asked first wins. Messages hold no counts, and no times but
those of a change that is reported anyway: a text that moves would be a status write of its own
(I7).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agentsystem_operator.api.reasons import (
    BudgetState,
    ConditionStatus,
    ConditionType,
    ProviderState,
    Reason,
)
from agentsystem_operator.decide import budget
from agentsystem_operator.decide.providers import Finding, Outlook
from agentsystem_operator.decide.rollout import Stage
from agentsystem_operator.status.report import Report, Row

DEGRADED_AFTER = timedelta(seconds=60)
"""A pod that is replaced elsewhere is back within this; longer is trouble."""
NAMED_AT_MOST = 5
"""Agents or faults named in one message: a reader needs an example, not 200."""
MESSAGE_CHARACTERS = 2000

T, F, U = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition without its times."""

    status: ConditionStatus
    reason: Reason
    message: str


def all_of(report: Report) -> Mapping[ConditionType, Verdict]:
    """Return every condition of the system, in the order in which they are shown."""
    outlook = report.outlook
    told = {
        ConditionType.PROVIDERS_HEALTHY: outlook is not None,
        ConditionType.BUDGET_AVAILABLE: outlook is not None and outlook.budget is not None,
    }
    return {kind: judge(report) for kind, judge in _JUDGES.items() if told.get(kind, True)}


def available(report: Report) -> Verdict:
    """Return whether every agent has at least max(1, desired - 1) available pods."""
    asleep = [row.name for row in report.rows if row.desired == 0]
    if asleep:
        return Verdict(F, Reason.SCALED_TO_ZERO, f"0 replicas wanted: {_some(asleep)}")
    lacking = [row.called for row in report.rows if not row.enough]
    if lacking:
        return Verdict(F, Reason.AGENTS_UNAVAILABLE, f"too few available pods: {_some(lacking)}")
    if not report.rows:
        return Verdict(F, Reason.AGENTS_UNAVAILABLE, "no agent has been started")
    return Verdict(T, Reason.ALL_AGENTS_AVAILABLE, "every agent has enough available pods")


def config_valid(report: Report) -> Verdict:
    """Return whether spec, references, names and the apiserver's verdicts allow to go on."""
    if report.faults:
        told = [f"{fault.path}: {fault.message}" for fault in report.faults]
        return Verdict(F, report.faults[0].reason, _some(told, separator="; "))
    if report.doubt:
        return Verdict(U, Reason.OBSERVATION_UNKNOWN, f"could not be read: {report.doubt}")
    return Verdict(T, Reason.VALID, "every reference and name is in order")


def progressing(report: Report) -> Verdict:
    """Return whether a rollout of ours is going on."""
    stages = {row.stage for row in report.rows}
    late = _late(report)
    if late:
        return Verdict(F, Reason.DEADLINE_EXCEEDED, late)
    if Stage.ROLLING not in stages:
        held = _held_back(report, stages)
        if held:
            return held
    if stages == {Stage.DONE} and report.is_reached:
        return Verdict(F, Reason.ROLLED_OUT, "every agent runs the desired revision")
    return Verdict(T, Reason.ROLLING_OUT, "the desired revision is being rolled out")


def degraded(report: Report) -> Verdict:
    """Return whether pods have been missing for long outside a rollout, or a rollout is stuck."""
    late = _late(report)
    if late:
        return Verdict(T, Reason.DEADLINE_EXCEEDED, late)
    short = [row for row in report.rows if _has_been_short(row, report)]
    if short:
        waiting = all(waits_for_volume(row, report) for row in short)
        reason = Reason.WAITING_FOR_VOLUME if waiting else Reason.BELOW_DESIRED
        told = _some([row.called for row in short])
        return Verdict(T, reason, f"fewer pods than desired: {told}")
    return Verdict(F, Reason.AS_DESIRED, "no agent has lacked pods for 60 s")


def paused(report: Report) -> Verdict:
    """Return whether the spec asks for no changes."""
    if report.paused:
        return Verdict(T, Reason.PAUSED_BY_SPEC, "spec.paused is true: no child is changed")
    return Verdict(F, Reason.NOT_PAUSED, "spec.paused is false")


def stalled(report: Report) -> Verdict:
    """Return whether the system stays as it is until somebody acts.

    A reference that is missing may still come: whoever applies a whole repository at once must not
    be told that it has failed.
    """
    lasting = [fault for fault in report.faults if not fault.passes]
    if lasting:
        told = [f"{fault.path}: {fault.message}" for fault in lasting]
        return Verdict(T, lasting[0].reason, _some(told, separator="; "))
    late = _late(report)
    if late:
        return Verdict(T, Reason.DEADLINE_EXCEEDED, late)
    return Verdict(F, Reason.NOT_STALLED, "nothing waits for anybody")


def ready(report: Report) -> Verdict:
    """Return the summary: Available, ConfigValid, and on the desired revision."""
    config = config_valid(report)
    if config.status is not T:
        return config
    enough = available(report)
    if enough.status is not T:
        return enough
    if not report.is_reached:
        rollout = progressing(report)
        return Verdict(F, rollout.reason, rollout.message)
    return Verdict(T, Reason.ALL_AGENTS_READY, "every agent runs what is declared")


def providers_healthy(report: Report) -> Verdict:
    """Return whether every provider that agents use answers, the worst first.

    The times in its message move only with a state, never by themselves.
    """
    if report.outlook is None:
        return Verdict(U, Reason.NO_POD_HEARD, "the operator has no channel")
    for state, (status, reason) in _TROUBLES.items():
        found = [each for each in report.outlook.providers if each.state is state]
        if found:
            told = _some([_of_provider(each) for each in found], separator="; ")
            ways = _detours(report.outlook) if status is F else ""
            return Verdict(status, reason, told + ways)
    return Verdict(T, Reason.PROVIDERS_ANSWER, "every provider that agents use answers")


_TROUBLES = {
    ProviderState.DOWN: (F, Reason.PROVIDER_DOWN),
    ProviderState.IMPAIRED: (F, Reason.PROVIDER_IMPAIRED),
    ProviderState.UNKNOWN: (U, Reason.NO_POD_HEARD),
}


def _of_provider(finding: Finding) -> str:
    since = f"since {rfc3339(finding.since)}"
    if finding.state is ProviderState.UNKNOWN:
        return f"provider '{finding.name}' is Unknown {since}: no pod that uses it is heard"
    why = f" ({finding.reason})" if finding.reason else ""
    return f"provider '{finding.name}' is {finding.state} {since}{why}"


def _detours(outlook: Outlook) -> str:
    """Return what the routes do instead of asking the first of their chain."""
    away = [way for way in outlook.routes if way.active != way.preferred]
    told = [f"route '{way.name}' uses '{way.active}'" for way in away if way.active]
    told += [f"route '{way.name}' has nobody who answers" for way in away if not way.active]
    return f"; {_some(told, separator='; ')}" if told else ""


def budget_available(report: Report) -> Verdict:
    """Return whether something is left of the budget; the times move only with its state."""
    found = report.outlook.budget if report.outlook else None
    if found is None:
        return Verdict(U, Reason.NO_POD_HEARD, "there is no budget")
    since = f"since {rfc3339(found.since)}"
    declared = found.declared
    if found.state is BudgetState.UNKNOWN:
        if found.reason == budget.UNREACHABLE:
            told = f"the pods cannot reach the ledger (spec.stores.redis) {since}"
            return Verdict(U, Reason.LEDGER_UNREACHABLE, told)
        return Verdict(U, Reason.NO_POD_HEARD, f"no pod that counts is heard {since}")
    status, reason = _BUDGETS[found.state]
    if declared is None:
        return Verdict(status, reason, f"the budget is {found.state} {since}")
    amount = f"{declared.amount} USD a {declared.period.lower()}"
    told = {
        BudgetState.AVAILABLE: f"less than {declared.warn_at} % of {amount} are used",
        BudgetState.WARNING: f"at least {declared.warn_at} % of {amount} are used {since}",
        BudgetState.DEGRADED: (
            f"at least {declared.degrade_at} % of {amount} are used {since}; answers cost less,"
            " and what could cost more than is left is refused"
        ),
        BudgetState.EXHAUSTED: f"{amount} are used up {since}",
    }[found.state]
    if found.state is BudgetState.EXHAUSTED and found.until:
        told += f"; what costs money is refused until {rfc3339(found.until)}"
    return Verdict(status, reason, told)


_BUDGETS = {
    BudgetState.AVAILABLE: (T, Reason.BUDGET_LEFT),
    BudgetState.WARNING: (T, Reason.BUDGET_LOW),
    BudgetState.DEGRADED: (T, Reason.BUDGET_DEGRADED),
    BudgetState.EXHAUSTED: (F, Reason.BUDGET_EXHAUSTED),
}


def rfc3339(moment: datetime) -> str:
    """Return a moment as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def waits_for_volume(row: Row, report: Report) -> bool:
    """Return whether an agent has long had no pod and its volume was made for one node.

    A pod that is restarted where it was is back before that: it waits for nothing.
    """
    return _has_been_short(row, report) and not row.enough and bool(row.claim and row.node)


def _late(report: Report) -> str:
    """Return what is to be said of rollouts past their deadline, "" when there are none."""
    late = [row.called for row in report.rows if row.stage is Stage.OVERDUE]
    return f"not rolled out within 600 s: {_some(late)}" if late else ""


def _held_back(report: Report, stages: set[Stage]) -> Verdict | None:
    """Return why nothing is rolled out although something might have to be."""
    if report.paused and (Stage.PENDING in stages or not report.is_reached):
        return Verdict(F, Reason.PAUSED_BY_SPEC, "changes wait until spec.paused is false")
    if report.faults:
        return Verdict(F, report.faults[0].reason, "changes wait until ConfigValid is True")
    return None


def _has_been_short(row: Row, report: Report) -> bool:
    return row.short_since is not None and report.now - row.short_since >= DEGRADED_AFTER


def _some(texts: list[str], *, separator: str = ", ") -> str:
    named = separator.join(texts[:NAMED_AT_MOST])
    more = " and more" if len(texts) > NAMED_AT_MOST else ""
    return f"{named[:MESSAGE_CHARACTERS]}{more}"


_JUDGES: Mapping[ConditionType, Callable[[Report], Verdict]] = {
    ConditionType.AVAILABLE: available,
    ConditionType.BUDGET_AVAILABLE: budget_available,
    ConditionType.CONFIG_VALID: config_valid,
    ConditionType.DEGRADED: degraded,
    ConditionType.PAUSED: paused,
    ConditionType.PROGRESSING: progressing,
    ConditionType.PROVIDERS_HEALTHY: providers_healthy,
    ConditionType.READY: ready,
    ConditionType.STALLED: stalled,
}
