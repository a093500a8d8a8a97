"""The ConfigMap of an agent's revision: immutable, so that no pod ever sees it change."""

from agentsystem_operator.decide.workloads import Workload
from agentsystem_operator.model import names
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.plan import agent_config, metadata


def build_config_map(workload: Workload, *, revision: str, config: str) -> Manifest:
    """Return the ConfigMap that holds the rendered config of one revision of an agent."""
    agent = workload.agent.name
    ref = names.config_map(workload.owner.key, agent, revision)
    content = {"immutable": True, "data": {agent_config.FILE: config}}
    labels = {names.REVISION: revision}
    return metadata.manifest(ref, workload.owner, content, agent=agent, labels=labels)
