"""AgentSystem v1alpha1: what a user declares, field by field, and the rules between fields.

The only source of `spec` in the CRD and in docs/api.md. The operator parses with it at the edge and
trusts it inside. Must never import anything that reads a cluster.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from agentsystem_operator.api import budget_rules, guard_rules, rules, tiers, types
from agentsystem_operator.api.base import ApiModel, MapList, RuledModel
from agentsystem_operator.api.budget import Budget
from agentsystem_operator.api.cache import Cache
from agentsystem_operator.api.endpoint import Azure, ProviderLimits
from agentsystem_operator.api.guard import Auth, Guard
from agentsystem_operator.api.kubernetes import (
    EgressRule,
    EnvVars,
    KeyReference,
    LocalObjectReference,
    Peers,
    ResourceRequirements,
    Toleration,
)
from agentsystem_operator.api.monitoring import Monitoring
from agentsystem_operator.api.stores import Stores
from agentsystem_operator.api.types import AuthType, ProviderType, SessionStore, Tier


class Runtime(ApiModel):
    """What all agents of the system run, unless an agent says otherwise."""

    image: types.Image | None = None
    """Image of the agents; absent means the one that the operator was started with."""
    resources: ResourceRequirements | None = None
    """Compute resources of each agent; an agent's own resources replace them as a whole."""
    env: EnvVars = ()
    """Environment variables of each agent; an agent's own one of the same name wins."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=20)] = ()
    """Taints of nodes that the pods tolerate."""
    image_pull_secrets: Annotated[
        tuple[LocalObjectReference, ...], Field(max_length=10), MapList("name")
    ] = ()
    """Secrets with credentials for the image registry."""


class OpenAI(ApiModel):
    """An endpoint that speaks OpenAI's API: chat completions and embeddings."""

    base_url: Annotated[str, Field(alias="baseURL", max_length=512)] = "https://api.openai.com/v1"
    """Address of the API, http or https, without user, query or fragment."""
    api_key_secret_ref: KeyReference | None = None
    """Secret key that holds the API key; absent sends no Authorization header."""
    timeout: types.Duration = "30s"
    """How long to wait for a whole answer, and in a stream for its next piece, 100ms to 10m."""
    headers: types.Headers
    """Headers to send along, by lower-case name; they are no place for keys."""
    azure: Azure | None = None
    """Asks in Azure OpenAI's way: baseURL is the resource, and a model is a deployment's name."""
    limits: ProviderLimits | None = None
    """How often the account may be asked; absent means as often as it answers."""

    RULES: ClassVar = rules.OPENAI


class Anthropic(ApiModel):
    """An endpoint that speaks Anthropic's messages API."""

    base_url: Annotated[str, Field(alias="baseURL", max_length=512)] = (
        "https://api.anthropic.com/v1"
    )
    """Address of the API, http or https, without user, query or fragment."""
    api_key_secret_ref: KeyReference | None = None
    """Secret key that holds the API key; absent sends no x-api-key header."""
    timeout: types.Duration = "30s"
    """How long to wait for a whole answer, and in a stream for its next piece, 100ms to 10m."""
    headers: types.Headers
    """Headers to send along, by lower-case name, such as anthropic-beta; no place for keys."""
    limits: ProviderLimits | None = None
    """How often the account may be asked; absent means as often as it answers."""
    prompt_caching: types.Bool = True
    """True marks prompts, where it pays, so that the endpoint reads their beginning from a cache;
    false is for endpoints that do not know cache_control."""

    RULES: ClassVar = rules.ANTHROPIC


class ConfigMapSource(ApiModel):
    """Text that is kept in a ConfigMap and copied into the agent's configuration."""

    config_map_key_ref: KeyReference
    """ConfigMap key that holds the text; a change of it rolls the agents concerned."""


class Scripted(ApiModel):
    """Answers by a script: deterministic, offline, free."""

    config_map_key_ref: KeyReference | None = None
    """ConfigMap key that holds the answers; absent means the built-in script."""


class Provider(ApiModel):
    """An account at a model endpoint. It takes the section that its type names, and no other."""

    name: types.Name
    """Name by which routes refer to it."""
    type: ProviderType
    """Scripted answers from a script; OpenAI and Anthropic ask any endpoint that speaks the API of
    that name."""
    open_ai: Annotated[OpenAI | None, Field(alias="openAI")] = None
    """Settings of type OpenAI."""
    anthropic: Anthropic | None = None
    """Settings of type Anthropic."""
    scripted: Scripted | None = None
    """Settings of type Scripted."""

    RULES: ClassVar = rules.PROVIDER

    @property
    def endpoint(self) -> OpenAI | Anthropic | None:
        """What is asked over the network, if anything is."""
        return self.open_ai or self.anthropic


class Target(ApiModel):
    """One provider in a chain, and the model to ask it for."""

    provider: types.Name
    """Name of one of spec.providers."""
    model: types.ModelName | None = None
    """Model to ask for; required unless the provider's type is Scripted."""


class Route(ApiModel):
    """A named way to an answer."""

    name: types.Name
    """Name by which agents refer to it."""
    chain: Annotated[tuple[Target, ...], Field(min_length=1, max_length=10)]
    """Providers in the order they are tried, before the first byte of an answer: the next one when
    a provider cannot be reached or fails, or refuses the key, the length of a request, or for lack
    of credit."""


class Agent(ApiModel):
    """One agent: a Deployment of its own, reached under its own name."""

    name: types.AgentName
    """Name of the agent, and of the model that clients ask for to reach it."""
    route: types.Name
    """Name of one of spec.routes."""
    instructions: Annotated[str, Field(max_length=32_768)] | None = None
    """System prompt; not together with instructionsFrom. Neither means none."""
    instructions_from: ConfigMapSource | None = None
    """Where the system prompt is kept; not together with instructions."""
    replicas: Annotated[int, types.Strict(), Field(ge=0, le=100)] | None = None
    """Number of pods; absent means the tier's default. At most 1 with store SQLite."""
    resources: ResourceRequirements | None = None
    """Compute resources; they replace spec.runtime.resources as a whole."""
    env: EnvVars = ()
    """Environment variables, on top of spec.runtime.env."""

    RULES: ClassVar = rules.AGENT


class Workflow(ApiModel):
    """How the agents work together."""

    entry: types.AgentName | None = None
    """Agent that answers requests which name no agent; required with more than one agent."""


class SQLite(ApiModel):
    """The volume of each agent's database."""

    size: types.StorageSize = "1Gi"
    """Size of the volume; cannot be changed while the store is SQLite."""
    storage_class_name: types.ObjectName | None = None
    """Storage class of the volume, absent means the cluster's default; cannot be changed either."""


class Sessions(ApiModel):
    """How conversations are remembered."""

    store: SessionStore
    """Memory forgets with the pod, and with several replicas refuses X-Session-Id; SQLite keeps
    turns on a volume, and allows one replica per agent; Redis and Postgres keep them in the server
    of that name in spec.stores, which all replicas share."""
    sqlite: SQLite | None = None
    """Settings of store SQLite; not allowed with another store."""
    ttl: types.Duration = "24h"
    """How long a session is kept after its last turn, 1s to 8760h."""
    max_turns: Annotated[int, types.Strict(), Field(ge=1, le=1000)] = 50
    """Turns of a session that are kept; older ones are forgotten."""

    RULES: ClassVar = rules.SESSIONS


class Memory(ApiModel):
    """What agents remember."""

    sessions: Sessions | None = None
    """How conversations are remembered; tiers Staging and Production must state it."""


class Network(ApiModel):
    """Connections beyond those that the operator opens by itself."""

    egress: Annotated[tuple[EgressRule, ...], Field(max_length=20)] = ()
    """Connections that agents may open, besides those to DNS, siblings and their providers."""
    ingress_from: Peers = ()
    """Who may reach the entry agent, besides the pods of its own namespace."""


class AgentSystemSpec(RuledModel):
    """A whole agent system: its models, its agents, and how they are run."""

    tier: Tier
    """How much the system matters; it chooses the defaults of other fields."""
    paused: types.Bool = False
    """True stops every change to the system's objects; its status goes on."""
    runtime: Runtime = Runtime()
    """What all agents run."""
    providers: Annotated[tuple[Provider, ...], Field(max_length=20), MapList("name")]
    """Model endpoints that routes can use."""
    routes: Annotated[tuple[Route, ...], Field(max_length=50), MapList("name")]
    """Named chains of providers that agents can use."""
    agents: Annotated[tuple[Agent, ...], Field(min_length=1, max_length=200), MapList("name")]
    """The agents of the system."""
    workflow: Workflow = Workflow()
    """How the agents work together."""
    memory: Memory = Memory()
    """What the agents remember."""
    stores: Stores = Stores()
    """Servers that all pods share; a declared one is used by what names it."""
    network: Network = Network()
    """Connections beyond those that the operator opens by itself."""
    guard: Guard = Guard()
    """What protects the system and the people who use it."""
    budget: Budget | None = None
    """What all models of the system may cost together; absent: as much as is asked for."""
    cache: Cache | None = None
    """Answers that are kept and given again; absent: every request is answered by a model."""
    monitoring: Monitoring = Monitoring()
    """How the agents are seen from outside, beside their metrics and logs."""

    RULES: ClassVar = (*rules.SPEC, *guard_rules.SPEC, *budget_rules.SPEC)
    TRANSITIONS: ClassVar = rules.SPEC_TRANSITIONS

    @property
    def entry(self) -> str:
        """The agent that answers requests which name none."""
        return self.workflow.entry or self.agents[0].name

    @property
    def auth(self) -> Auth | None:
        """How callers are known; None where nobody is asked."""
        stated = self.guard.auth
        return None if stated is None or stated.type is AuthType.NONE else stated

    def sessions(self, defaults: tiers.TierDefaults) -> Sessions:
        """Return the stated sessions, else those of the tier."""
        stated = self.memory.sessions
        return stated or Sessions(store=tiers.effective_store(None, defaults))

    def replicas(self, agent: Agent, defaults: tiers.TierDefaults) -> int:
        """Return how many pods the agent should have."""
        store = self.sessions(defaults).store
        return tiers.effective_replicas(agent.replicas, defaults, store=store)
