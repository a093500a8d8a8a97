"""The Deployment of an agent in one slot.

Without `replicas`: the scale manager owns them (`metadata.born_with` states them once).
"""

from collections.abc import Mapping
from typing import Any

from agentsystem_operator.decide.workloads import Workload
from agentsystem_operator.model import names
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.plan import metadata, pod

_ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
_RECREATE = {"type": "Recreate"}


def spec_of(workload: Workload, revision: str) -> Mapping[str, Any]:
    """Return the Deployment's spec in version 1 of the template (see `templates`)."""
    key, agent = workload.owner.key, workload.agent.name
    return {
        "minReadySeconds": 5,
        "revisionHistoryLimit": 5,
        "progressDeadlineSeconds": 600,
        # A volume is mounted by one pod at a time, so the old one goes first.
        "strategy": _RECREATE if workload.keeps_sessions_on_disk else _ROLLING,
        "selector": {"matchLabels": dict(names.slot_selector(key, agent))},
        "template": pod.build_pod_template(workload, revision=revision),
    }


def build_deployment(workload: Workload, spec: Mapping[str, Any], *, revision: str) -> Manifest:
    """Return the agent's Deployment in the active slot, on one revision."""
    key, agent = workload.owner.key, workload.agent.name
    labels = {names.SLOT: names.ACTIVE_SLOT, names.REVISION: revision}
    ref = names.deployment(key, agent)
    return metadata.manifest(ref, workload.owner, {"spec": spec}, agent=agent, labels=labels)
