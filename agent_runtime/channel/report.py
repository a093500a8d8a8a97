"""What a pod says over the channel, v1.0: `config/contract/channel` documents it."""

import msgspec

PROTOCOL = "v1.0"


class Load(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """How busy this process is; what it cannot tell is absent, never 0."""

    in_flight: int | None = None
    queue_depth: int | None = None
    oldest_seconds: float | None = None
    rate_per_second: float | None = None
    p95_seconds: float | None = None
    tokens_per_second: float | None = None
    sessions: int | None = None
    saturation: float | None = None


class ProviderNow(msgspec.Struct, frozen=True, omit_defaults=True):
    """How this process finds one provider."""

    name: str
    state: str
    """Healthy, Impaired or Down."""
    reason: str = ""
    """The class of the last failure; empty when healthy."""
    recent: bool = False
    """Whether it was asked within the last half minute."""


class RouteNow(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which provider a route leads to now; "" when each of its chain is left alone."""

    name: str
    active: str
    recent: bool = False


class BudgetNow(msgspec.Struct, frozen=True):
    """How this process finds the budget that all pods of its system share.

    Amounts are metrics: a status that told them would move with every request.
    """

    state: str
    """Available, Warning, Degraded, Exhausted or Unknown."""


class Report(msgspec.Struct, tag="report", frozen=True, omit_defaults=True):
    """Everything that is said at once."""

    load: Load
    providers: tuple[ProviderNow, ...] = ()
    routes: tuple[RouteNow, ...] = ()
    budget: BudgetNow | None = None
    """Absent without a budget."""


class Hello(msgspec.Struct, tag="hello", frozen=True):
    """The first line."""

    channel: str
    token: str


class Welcome(msgspec.Struct, tag="welcome", frozen=True):
    """The token was accepted."""

    channel: str = ""


class Redirect(msgspec.Struct, tag="redirect", frozen=True):
    """Somebody else leads."""

    address: str


class Refused(msgspec.Struct, tag="refused", frozen=True):
    """The operator ends the connection."""

    reason: str


FromOperator = Welcome | Redirect | Refused
FROM_OPERATOR = msgspec.json.Decoder(FromOperator)
encode = msgspec.json.Encoder().encode
