"""The PodDisruptionBudget of an agent: a drain takes one pod at a time, and broken ones at once."""

from agentsystem_operator.decide.workloads import Workload
from agentsystem_operator.model import names
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.model.references import Kind
from agentsystem_operator.plan import metadata


def build_pod_disruption_budget(workload: Workload) -> Manifest:
    """Return the agent's PodDisruptionBudget.

    maxUnavailable 1 rather than minAvailable: with one replica the latter blocks every drain.
    """
    agent = workload.agent.name
    ref = names.agent_child(workload.owner.key, agent, Kind.POD_DISRUPTION_BUDGET)
    selector = dict(names.pod_selector(workload.owner.key, agent))
    spec = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": selector},
    }
    return metadata.manifest(ref, workload.owner, {"spec": spec}, agent=agent)
