"""The versions of what an agent's pods are rendered as: its Deployment, and its configuration.

Imported by plan and the engine. Whatever changes here rolls every agent of every system, so a
change is a new version beside the old ones, and agents stay on the one that they are pinned to
until they change anyway (I21). A version may go once no supported upgrade starts from it; an agent
that is pinned to a version that is not known here is rendered with the newest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agentsystem_operator.decide.workloads import Workload
from agentsystem_operator.plan import agent_config, channel, deployment

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Template:
    """One version."""

    deployment: Callable[[Workload, str], Body]
    """The spec of the Deployment, pod template included, on a revision; without replicas."""
    config: Callable[[Workload], Body]
    """The configuration that the pods read."""
    has_channel: bool = False
    """Whether the pods look for the channel to the operator."""


VERSIONS: Mapping[int, Template] = {
    1: Template(deployment=deployment.spec_of, config=agent_config.of_workload),
    2: Template(
        deployment=channel.deployment_spec, config=agent_config.of_workload, has_channel=True
    ),
}
NEWEST = max(VERSIONS)
