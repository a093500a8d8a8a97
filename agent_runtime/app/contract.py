"""The rendered config: what the operator (or `agentsystem render`) writes and this runtime reads.

Contract v1.1, additive: config/contract/README.md has its rules and examples.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from agent_runtime.app.contract_budget import BudgetEntry
from agent_runtime.app.contract_cache import CacheEntry
from agent_runtime.app.contract_endpoint import AzureEntry, Headers, LimitsEntry
from agent_runtime.app.contract_guard import GuardEntry
from agent_runtime.app.contract_monitoring import MonitoringEntry
from agent_runtime.app.contract_stores import StoresEntry
from agent_runtime.app.contract_types import FilePath, Name, SecretPlace, Url
from agent_runtime.problems import Strict

CONTRACT_MAJOR = 1
CONTRACT_MINOR = 1
CONTRACT = f"v{CONTRACT_MAJOR}.{CONTRACT_MINOR}"

MAX_AGENTS = 200
MAX_ROUTES = 50
MAX_CHAIN = 10
MAX_PROVIDERS = 20


class AgentEntry(Strict):
    """An agent that this process answers for."""

    name: Name
    route: Name
    instructions: str = ""  # bounded by the file's size


class SiblingEntry(Strict):
    """An agent that another pod answers for."""

    name: Name
    url: Url


class Link(Strict):
    """One provider of a route, and the model to ask it for."""

    provider: Name
    model: Annotated[str, Field(min_length=1, max_length=256)] | None = None


class RouteEntry(Strict):
    """Providers in the order in which they are tried."""

    name: Name
    chain: Annotated[list[Link], Field(min_length=1, max_length=MAX_CHAIN)]


class EndpointSection(Strict):
    """A model endpoint."""

    base_url: Url = Field(alias="baseURL")
    timeout_seconds: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = Field(
        30.0, alias="timeoutSeconds"
    )
    api_key: SecretPlace | None = Field(None, alias="apiKey")
    headers: Headers = Field(default_factory=dict)
    limits: LimitsEntry | None = None


class OpenAISection(EndpointSection):
    """An OpenAI-compatible endpoint."""

    base_url: Url = Field("https://api.openai.com/v1", alias="baseURL")
    azure: AzureEntry | None = None

    @model_validator(mode="after")
    def _azure_has_an_address(self) -> "OpenAISection":
        if self.azure and "base_url" not in self.model_fields_set:
            raise ValueError("has `azure` without `baseURL`; add the address of the resource")
        return self


class AnthropicSection(EndpointSection):
    """An endpoint of Anthropic's messages API (v1.1)."""

    base_url: Url = Field("https://api.anthropic.com/v1", alias="baseURL")
    prompt_caching: bool = Field(True, alias="promptCaching")


class ScriptedSection(Strict):
    """A script; no answers means the built-in one."""

    answers: str | None = None


class ProviderEntry(Strict):
    """An account at a model endpoint; the section that `type` names holds its settings."""

    name: Name
    type: Literal["OpenAI", "Anthropic", "Scripted"]
    open_ai: OpenAISection | None = Field(None, alias="openAI")
    anthropic: AnthropicSection | None = None
    scripted: ScriptedSection | None = None

    @property
    def limits(self) -> LimitsEntry | None:
        """How often the account may be asked, if that is limited."""
        section = self.open_ai or self.anthropic
        return section.limits if section else None


class SessionsEntry(Strict):
    """Where sessions live. `shared` false: each pod has its own, so they cannot be offered."""

    store: Literal["Memory", "SQLite", "Redis", "Postgres"]  # the last two: v1.1
    path: FilePath | None = None
    ttl_seconds: Annotated[float, Field(gt=0, le=3.2e9, allow_inf_nan=False)] = Field(
        86_400.0, alias="ttlSeconds"
    )
    max_turns: Annotated[int, Field(ge=1, le=1000)] = Field(50, alias="maxTurns")
    shared: bool = True


class Config(Strict):
    """Everything one process needs to know."""

    contract: str
    namespace: Name
    system: Name
    entry: Name
    agents: Annotated[list[AgentEntry], Field(min_length=1, max_length=MAX_AGENTS)]
    siblings: Annotated[list[SiblingEntry], Field(max_length=MAX_AGENTS)] = Field(
        default_factory=list
    )
    routes: Annotated[list[RouteEntry], Field(min_length=1, max_length=MAX_ROUTES)]
    providers: Annotated[list[ProviderEntry], Field(min_length=1, max_length=MAX_PROVIDERS)]
    sessions: SessionsEntry | None = None
    guard: GuardEntry | None = None  # v1.1
    stores: StoresEntry | None = None  # v1.1
    cache: CacheEntry | None = None  # v1.1
    budget: BudgetEntry | None = None  # v1.1
    monitoring: MonitoringEntry | None = None  # v1.1
