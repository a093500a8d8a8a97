"""The ServiceAccount of an agent: an identity without any right and without a mounted token."""

from agentsystem_operator.decide.workloads import Workload
from agentsystem_operator.model import names
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.model.references import Kind
from agentsystem_operator.plan import metadata


def build_service_account(workload: Workload) -> Manifest:
    """Return the agent's ServiceAccount."""
    agent = workload.agent.name
    ref = names.agent_child(workload.owner.key, agent, Kind.SERVICE_ACCOUNT)
    content = {"automountServiceAccountToken": False}
    return metadata.manifest(ref, workload.owner, content, agent=agent)
