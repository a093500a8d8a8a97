"""The messages of the channel, v1.0, as `config/contract/channel` documents them."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agentsystem_operator.adapters.channel.tokens import TOKEN_BYTES, Refusal
from agentsystem_operator.api.reasons import BudgetState, ProviderState
from agentsystem_operator.model.heard import Choice, Load, Said, Statement

PROTOCOL = "v1.0"

_STATES = {state.value: state for state in ProviderState}
_BUDGETS = {state.value: state for state in BudgetState}
_NAME = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
Name = Annotated[str, Meta(max_length=63, pattern=_NAME)]
Reason = Annotated[str, Meta(max_length=32, pattern="^[a-z_]*$")]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Number = Annotated[float, Meta(ge=0, le=1e9)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Hello(msgspec.Struct, tag="hello", frozen=True):
    """The first line of a pod."""

    channel: Annotated[str, Meta(pattern=r"^v1\.[0-9]{1,4}$")]
    token: Annotated[str, Meta(max_length=TOKEN_BYTES)]


class LoadNow(msgspec.Struct, frozen=True, rename="camel"):
    """How busy the pod is; what it cannot tell is absent."""

    in_flight: Count | None = None
    queue_depth: Count | None = None
    oldest_seconds: Number | None = None
    rate_per_second: Number | None = None
    p95_seconds: Number | None = None
    tokens_per_second: Number | None = None
    sessions: Count | None = None
    saturation: Share | None = None

    def value(self) -> Load:
        """Return it as the core knows it."""
        return Load(
            self.in_flight,
            self.queue_depth,
            self.oldest_seconds,
            self.rate_per_second,
            self.p95_seconds,
            self.tokens_per_second,
            self.sessions,
            self.saturation,
        )


class ProviderNow(msgspec.Struct, frozen=True):
    """How the pod finds one provider."""

    name: Name
    state: Literal["Healthy", "Impaired", "Down"]
    reason: Reason = ""
    recent: bool = False


class RouteNow(msgspec.Struct, frozen=True):
    """Which provider one route leads to; "" for none."""

    name: Name
    active: Annotated[str, Meta(max_length=63, pattern="^[-a-z0-9]*$")]
    recent: bool = False


class BudgetNow(msgspec.Struct, frozen=True):
    """How the pod finds the budget in the ledger."""

    state: Literal["Available", "Warning", "Degraded", "Exhausted", "Unknown"]


class Report(msgspec.Struct, tag="report", frozen=True):
    """What a pod says once a second, and at once when a provider changes."""

    load: LoadNow
    providers: Annotated[tuple[ProviderNow, ...], Meta(max_length=20)] = ()
    routes: Annotated[tuple[RouteNow, ...], Meta(max_length=50)] = ()
    budget: BudgetNow | None = None

    @property
    def verdicts(self) -> tuple[object, ...]:
        """All that `said` is made of: what changes seldom."""
        return self.providers, self.routes, self.budget

    def said(self) -> Said:
        """Return what was said of providers, routes and budget, as the core knows it."""
        return Said(
            {
                each.name: Statement(_STATES[each.state], each.reason, each.recent)
                for each in self.providers
            },
            {each.name: Choice(each.active, each.recent) for each in self.routes},
            _BUDGETS[self.budget.state] if self.budget else None,
        )


class Welcome(msgspec.Struct, tag="welcome", frozen=True):
    """The token was accepted."""

    channel: str = PROTOCOL


class Redirect(msgspec.Struct, tag="redirect", frozen=True):
    """Somebody else leads: go there."""

    address: str


class Refused(msgspec.Struct, tag="refused", frozen=True):
    """The connection ends; the reason is one of a closed set."""

    reason: Refusal


FROM_POD = msgspec.json.Decoder(Hello | Report)
"""Fields of newer minors are ignored (msgspec's way with what it does not know)."""
ENCODER = msgspec.json.Encoder()
encode = ENCODER.encode
