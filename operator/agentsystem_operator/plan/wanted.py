"""Everything that should exist for a system, in the order in which it is written.

What a pod needs comes before the Deployment that makes pods, the record of the revision before any
Deployment that uses it: a crash between two writes leaves only what the next pass builds upon. The
entry Service comes last, when there is something to reach.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agentsystem_operator.decide.workloads import Owner, Workload
from agentsystem_operator.model import hashing
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.model.observed import NOT_OURS, RevisionRecord
from agentsystem_operator.model.references import Kind, Ref
from agentsystem_operator.plan import agent_config
from agentsystem_operator.plan.channel import Channel, build_authority
from agentsystem_operator.plan.config_map import build_config_map
from agentsystem_operator.plan.controller_revision import (
    build_controller_revision,
    data_of,
    stored_bytes,
)
from agentsystem_operator.plan.deployment import build_deployment
from agentsystem_operator.plan.guard import build_cluster_keys
from agentsystem_operator.plan.network_policy import build_network_policy
from agentsystem_operator.plan.persistent_volume_claim import build_persistent_volume_claim
from agentsystem_operator.plan.pod_disruption_budget import build_pod_disruption_budget
from agentsystem_operator.plan.service import build_entry_service, build_service
from agentsystem_operator.plan.service_account import build_service_account
from agentsystem_operator.plan.templates import Template


@dataclass(frozen=True, slots=True)
class AgentChildren:
    """One agent, its revision and its children."""

    workload: Workload
    revision: str
    before: tuple[Manifest, ...]
    """What the Deployment's pods rely on."""
    deployment: Manifest
    config_bytes: int

    @property
    def claim(self) -> str | None:
        """Name of the agent's PersistentVolumeClaim, if it has one."""
        return next((m.ref.name for m in self.before if _is_claim(m)), None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One system, its revision and all its children."""

    revision: str
    authority: Manifest | None
    """What the channel's end in the pods needs; None without a channel, or while it is unknown."""
    record: Manifest
    agents: tuple[AgentChildren, ...]
    entry_service: Manifest
    cluster_keys: Manifest | None = None
    """What siblings know each other by, where they have to."""

    @property
    def record_bytes(self) -> int:
        """Size of the record's data, as it is stored."""
        return stored_bytes(self.record.body["data"])

    @property
    def config_bytes(self) -> int:
        """Size of all rendered configs together."""
        return sum(agent.config_bytes for agent in self.agents)

    @property
    def named_by_content(self) -> frozenset[Ref]:
        """Names with the hash of what stands under them: the record and the agents' configs."""
        before = (manifest.ref for agent in self.agents for manifest in agent.before)
        configs = (ref for ref in before if ref.kind is Kind.CONFIG_MAP)
        return frozenset({self.record.ref, *configs})

    def manifests(self) -> Iterator[tuple[Manifest, str]]:
        """Yield every manifest with the field that asks for it, in the order of writing."""
        if self.authority is not None:
            yield self.authority, "metadata.name"
        if self.cluster_keys is not None:
            yield self.cluster_keys, "spec.guard"
        for agent in self.agents:
            for manifest in agent.before:
                yield manifest, agent.workload.path
        yield self.record, "spec"
        for agent in self.agents:
            yield agent.deployment, agent.workload.path
        yield self.entry_service, "metadata.name"


def of_system(
    owner: Owner,
    workloads: Sequence[Workload],
    *,
    records: Sequence[RevisionRecord],
    templates: Mapping[int, Template],
    cluster_keys: str | None,
    channel: Channel | None,
) -> Wanted:
    """Return what the workloads need; `records` are those of earlier revisions.

    `cluster_keys` are None where siblings need not know each other.
    """
    agents = tuple(
        _of_agent(workload, templates[workload.template], channel) for workload in workloads
    )
    speaks = any(templates[workload.template].has_channel for workload in workloads)
    data = data_of((agent.workload, agent.revision) for agent in agents)
    revision = hashing.revision(data)
    entry = next(workload for workload in workloads if workload.is_entry)
    return Wanted(
        revision=revision,
        authority=build_authority(owner, channel) if channel and speaks else None,
        record=build_controller_revision(owner, data, number=_number(revision, records)),
        agents=agents,
        entry_service=build_entry_service(entry),
        cluster_keys=build_cluster_keys(owner, cluster_keys) if cluster_keys else None,
    )


def newest(records: Sequence[RevisionRecord]) -> RevisionRecord | None:
    """Return the record with the highest number."""
    return max(records, key=lambda record: (record.number, record.revision), default=None)


def _number(revision: str, records: Sequence[RevisionRecord]) -> int:
    """Return the number of a revision: going back to an old one makes it the newest again.

    A number that somebody else wrote counts for nothing, so the record gets back what it had.
    """
    last = newest(records)
    if last is None:
        return 1
    is_known = last.revision == revision and last.number != NOT_OURS
    return last.number if is_known else last.number + 1


def _of_agent(workload: Workload, template: Template, channel: Channel | None) -> AgentChildren:
    config = agent_config.as_text(template.config(workload))
    revision = hashing.revision([template.deployment(workload, "")["template"], config])
    spec = template.deployment(workload, revision)
    before = (
        build_service_account(workload),
        build_config_map(workload, revision=revision, config=config),
        build_persistent_volume_claim(workload),
        build_network_policy(
            workload, channel=channel.place if channel and template.has_channel else None
        ),
        build_service(workload),
        build_pod_disruption_budget(workload),
    )
    return AgentChildren(
        workload=workload,
        revision=revision,
        before=tuple(manifest for manifest in before if manifest is not None),
        deployment=build_deployment(workload, spec, revision=revision),
        config_bytes=len(config.encode()),
    )


def _is_claim(manifest: Manifest) -> bool:
    return manifest.ref.kind is Kind.PERSISTENT_VOLUME_CLAIM
