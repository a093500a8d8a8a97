"""What a person can do about a condition: one line for each reason that needs somebody.

The reasons are the operator's closed set (docs/api.md); a test holds both together. Reasons that
pass by themselves have no line here.
"""

from __future__ import annotations

NEXT_STEP = {
    "AgentsUnavailable": "look at the pods: kubectl get pods -l agentsystem.dev/system={name}; "
    "then `kubectl describe` and `kubectl logs` of the one that is not ready",
    "ScaledToZero": "an agent has `replicas: 0`; raise it to make it answer",
    "ObservationUnknown": "the operator cannot read the cluster; look at its log: "
    "kubectl logs -n agentsystem-system deploy/agentsystem-operator",
    "DeadlineExceeded": "the new pods do not become ready; the old ones serve. Look at the new "
    "ones' events and logs, then correct the spec (docs/runbooks/deadline-exceeded.md)",
    "SpecInvalid": "correct the named fields and apply again (docs/runbooks/spec-invalid.md)",
    "ConfigMapMissing": "create the ConfigMap, or correct its name in the spec; the operator "
    "notices by itself (docs/runbooks/config-map-missing.md)",
    "ConfigMapKeyMissing": "add the key to the ConfigMap, or correct it in the spec "
    "(docs/runbooks/config-map-missing.md)",
    "ImageNotAllowed": "name an image that the message's patterns allow, or none "
    "(docs/runbooks/image-not-allowed.md)",
    "NameTaken": "an object of that name is not ours: delete or rename it, or rename the system "
    "(docs/runbooks/name-taken.md)",
    "TooLarge": "shorten instructions or answers: all agents' configurations together may hold "
    "1 MiB (docs/runbooks/too-large.md)",
    "ApplyRefused": "the cluster refused an object; the message says why: a quota, a policy or a "
    "missing right (docs/runbooks/apply-refused.md)",
    "BelowDesired": "pods are missing outside a rollout: kubectl get pods "
    "-l agentsystem.dev/system={name} (docs/runbooks/degraded.md)",
    "WaitingForVolume": "the message names a node: is it well? kubectl get node NODE; if it will "
    "not come back, see docs/runbooks/waiting-for-volume.md",
    "BudgetExhausted": "raise spec.budget.amount, or wait for the next period "
    "(docs/runbooks/budget-exhausted.md)",
    "LedgerUnreachable": "the pods cannot reach spec.stores.redis; their logs say why "
    "(docs/runbooks/budget-exhausted.md)",
    "PausedBySpec": "nothing is changed until `paused` is false again",
}


def next_step(reason: str, name: str) -> str | None:
    """What to do about a reason of the system of that name; None when nothing is needed."""
    step = NEXT_STEP.get(reason)
    return step and step.format(name=name)
