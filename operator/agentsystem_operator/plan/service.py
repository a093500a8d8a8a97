"""Services: one per agent, and one under the system's own name for its entry agent.

They select without slot, so that a release can move traffic by adding and removing pods.
"""

from typing import Any

from agentsystem_operator.decide.workloads import Workload
from agentsystem_operator.model import names
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.model.references import Kind
from agentsystem_operator.plan import metadata

_HTTP = {"name": "http", "port": names.HTTP_PORT, "protocol": "TCP", "targetPort": "http"}
_METRICS = {
    "name": "metrics",
    "port": names.METRICS_PORT,
    "protocol": "TCP",
    "targetPort": "metrics",
}


def build_service(workload: Workload) -> Manifest:
    """Return the Service by which siblings and monitoring reach one agent."""
    owner, agent = workload.owner, workload.agent.name
    ref = names.agent_child(owner.key, agent, Kind.SERVICE)
    return metadata.manifest(ref, owner, _content(workload, [_HTTP, _METRICS]), agent=agent)


def build_entry_service(entry: Workload) -> Manifest:
    """Return the Service by which clients reach the system: the entry agent's API alone."""
    ref = names.entry_service(entry.owner.key)
    return metadata.manifest(ref, entry.owner, _content(entry, [_HTTP]), agent=None)


def _content(workload: Workload, ports: list[dict[str, Any]]) -> dict[str, Any]:
    selector = names.pod_selector(workload.owner.key, workload.agent.name)
    return {"spec": {"type": "ClusterIP", "selector": dict(selector), "ports": ports}}
