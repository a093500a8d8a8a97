"""The part `guard` of the rendered config (v1.1): who may ask how much, and what is protected."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from agent_runtime.app.contract_pii import PiiEntry
from agent_runtime.app.contract_types import FilePath, SecretPlace, Url
from agent_runtime.app.limits import MAX_IN_FLIGHT
from agent_runtime.problems import Strict

_Text = Annotated[str, Field(min_length=1, max_length=512)]
_Claim = Annotated[str, Field(min_length=1, max_length=128)]


class ClaimsEntry(Strict):
    """The claims that say what a principal is."""

    tenant: _Claim | None = None
    roles: _Claim | None = None
    priority: _Claim | None = None


class JwtEntry(Strict):
    """Whose tokens are believed; exactly one of the two sources of keys."""

    issuer: _Text
    audience: _Text
    jwks_url: Url | None = Field(None, alias="jwksURL")
    shared_key: SecretPlace | None = Field(None, alias="sharedKey")
    clock_skew_seconds: Annotated[float, Field(ge=0, le=300)] = Field(30, alias="clockSkewSeconds")
    claims: ClaimsEntry = ClaimsEntry()


class AuthEntry(Strict):
    """How callers say who they are; the section that `type` names holds its settings."""

    type: Literal["APIKey", "JWT"]
    api_keys: SecretPlace | None = Field(None, alias="apiKeys")
    jwt: JwtEntry | None = None


class SiblingsEntry(Strict):
    """How a pod of this system is known: by tokens of its accounts, verified with those keys."""

    account: _Text
    token: FilePath | None = None  # of the one who passes requests on
    keys: FilePath | None = None  # of the one to whom they are passed


class RateEntry(Strict):
    """How often one may ask: in any 60 s, and in a day of UTC."""

    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, alias="requestsPerMinute"
    )
    requests_per_day: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        None, alias="requestsPerDay"
    )

    @model_validator(mode="after")
    def _limits_something(self) -> "RateEntry":
        if self.requests_per_minute is None and self.requests_per_day is None:
            raise ValueError("limits nothing; set one of its fields, or remove it")
        return self


class LimitsEntry(Strict):
    """How much may be asked: of one process at a time, and how often by whom."""

    concurrent_requests: Annotated[int, Field(ge=1, le=MAX_IN_FLIGHT)] = Field(
        MAX_IN_FLIGHT, alias="concurrentRequests"
    )
    per_key: RateEntry | None = Field(None, alias="perKey")
    per_tenant: RateEntry | None = Field(None, alias="perTenant")
    per_agent: RateEntry | None = Field(None, alias="perAgent")


class EncryptionEntry(Strict):
    """Fernet keys, one a line: the first seals what sessions store, all of them open it."""

    keys: SecretPlace


class GuardEntry(Strict):
    """What protects the system and the people who use it; absent: nothing, for everybody."""

    auth: AuthEntry | None = None
    siblings: SiblingsEntry | None = None
    limits: LimitsEntry = LimitsEntry.model_validate({})
    encryption: EncryptionEntry | None = None
    pii: PiiEntry | None = None
