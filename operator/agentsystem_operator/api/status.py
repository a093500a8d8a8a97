"""AgentSystem v1alpha1: what the operator reports.

Status is output, never input: nothing is decided from it, and it holds no heartbeat. Unknown fields
are ignored, so that an older operator reads what a newer one wrote.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, ConfigDict, Field, PlainSerializer

from agentsystem_operator.api.base import ApiModel, MapList
from agentsystem_operator.api.reasons import BudgetState, ConditionStatus, ProviderState


def _rfc3339(moment: datetime) -> str:
    """Return the moment as Kubernetes writes it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Timestamp = Annotated[AwareDatetime, PlainSerializer(_rfc3339, return_type=str, when_used="json")]
NOT_OBSERVED = -1
"""What a new object has as observedGeneration, by default: without it tools that know kstatus take
an object that nobody has looked at yet for one that is as it should be."""
Count = Annotated[int, Field(ge=0, le=100_000)]
Word = Annotated[str, Field(max_length=128)]


class _Reported(ApiModel):
    """Part of a status."""

    model_config = ConfigDict(extra="ignore")


class Condition(_Reported):
    """One aspect of the system's state; see the table of conditions and reasons."""

    type: Annotated[str, Field(max_length=64)]
    """Available, Ready, Progressing, ConfigValid, Degraded, Paused, Stalled, ProvidersHealthy or
    BudgetAvailable."""
    status: ConditionStatus
    """True, False or Unknown."""
    reason: Word
    """Why, as one word of a closed set."""
    message: Annotated[str, Field(max_length=4096)]
    """Why, for people: which object, which field, what to do."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """Generation of the spec that this was concluded from."""
    last_transition_time: Timestamp
    """When status last changed."""


class Revision(_Reported):
    """Which version of everything declared runs."""

    desired: Word | None = None
    """Hash of what the spec asks for now."""
    active: Word | None = None
    """Hash of the last revision that every agent has fully rolled out."""


class PinnedSetting(_Reported):
    """One default that an agent is held to, so that an upgrade of the operator rolls no pod."""

    setting: Word
    """Image, Template, Replicas, SessionStore, PreStop or Spread."""
    held: Annotated[str, Field(max_length=256)]
    """What the agent runs with."""
    next: Annotated[str, Field(max_length=256)]
    """What it gets with its next change that rolls it anyway."""


class AgentStatus(_Reported):
    """How one agent is doing."""

    name: Word
    """Name of the agent."""
    slot: Annotated[str, Field(max_length=1, pattern="^[ab]$")] | None = None
    """Which of the agent's two possible Deployments serves."""
    desired: Count | None = None
    """Pods that the agent should have."""
    ready: Count | None = None
    """Pods that are ready."""
    revision: Word | None = None
    """Hash of the agent's pod template and configuration."""
    reason: Word | None = None
    """Why the agent is not as desired, as one word of the closed set."""
    claim: Annotated[str, Field(max_length=253)] | None = None
    """PersistentVolumeClaim of the agent's sessions; it outlives the system."""
    pinned: Annotated[tuple[PinnedSetting, ...], Field(max_length=8), MapList("setting")] | None = (
        None
    )
    """What is held back until the agent is changed; absent when nothing is."""


class ProviderStatus(_Reported):
    """How one provider that agents use is doing, as their pods find it."""

    name: Word
    """Name of the provider."""
    state: ProviderState
    """Healthy, Impaired, Down or Unknown."""
    since: Timestamp
    """When it came into this state, as far as the operator noticed."""
    reason: Word | None = None
    """The class of failure with which it did, as in `agent_provider_errors_total`."""


class BudgetStatus(_Reported):
    """How far the budget is used, as the pods say that share its ledger."""

    state: BudgetState
    """Available, Warning, Degraded, Exhausted or Unknown."""
    since: Timestamp
    """When it came into this state, as far as the operator noticed."""
    reason: Word | None = None
    """Why it is Unknown: ledger_unreachable; absent when no pod was heard."""


class RouteStatus(_Reported):
    """Where one route that agents use leads now."""

    name: Word
    """Name of the route."""
    active: Word | None = None
    """The provider of its chain that most pods ask first; absent when none answers or no pod was
    heard."""


class AgentSystemStatus(_Reported):
    """What the operator sees and concludes."""

    observed_generation: Annotated[int, Field(ge=NOT_OBSERVED)] | None = None
    """Generation of the spec that the whole status was concluded from; -1 before the first look."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=32), MapList("type")] = ()
    """Conclusions, one per type."""
    revision: Revision | None = None
    """Which version of everything declared runs."""
    ready_agents: Count | None = None
    """Agents that have all the pods they should have."""
    total_agents: Count | None = None
    """Agents that the spec declares."""
    agents: Annotated[tuple[AgentStatus, ...], Field(max_length=200), MapList("name")] = ()
    """Each agent, in the order of the spec."""
    providers: (
        Annotated[tuple[ProviderStatus, ...], Field(max_length=20), MapList("name")] | None
    ) = None
    """Each provider that an agent's route leads to; absent without a channel."""
    routes: Annotated[tuple[RouteStatus, ...], Field(max_length=50), MapList("name")] | None = None
    """Each route that an agent uses; absent without a channel."""
    budget: BudgetStatus | None = None
    """The budget; absent without one, and without a channel."""
