"""`spec.guard`: who may ask the agents how much, and what is protected."""

from typing import Annotated, ClassVar

from pydantic import Field

from agentsystem_operator.api import guard_rules, types
from agentsystem_operator.api.base import ApiModel
from agentsystem_operator.api.kubernetes import KeyReference
from agentsystem_operator.api.pii import Pii
from agentsystem_operator.api.types import AuthType

ClaimName = Annotated[str, Field(min_length=1, max_length=128)]
_Text = Annotated[str, Field(min_length=1, max_length=512)]


class ApiKeys(ApiModel):
    """Keys that callers send as `Authorization: Bearer KEY`."""

    secret_ref: KeyReference
    """Secret key that holds the file of keys: one line per key, as `agent-runtime key` prints it.
    A change counts as soon as the kubelet has brought it to the pods; nothing restarts."""


class Claims(ApiModel):
    """Names of the claims that say more than who asks; a dot leads into an object."""

    tenant: ClaimName | None = None
    """Claim with the tenant, whom sessions and limits belong to; a token without it is refused.
    Absent: all callers are of one tenant."""
    roles: ClaimName | None = None
    """Claim with the roles, a list or words with blanks between them; what is no role is passed
    over. Absent: each valid token may do everything."""
    priority: ClaimName | None = None
    """Claim with the priority: VIP, Normal or Low. Absent, or anything else: Normal."""


class Jwt(ApiModel):
    """Tokens of an identity provider that callers send as `Authorization: Bearer TOKEN`."""

    issuer: _Text
    """What a token's claim `iss` has to be."""
    audience: _Text
    """What a token's claim `aud` has to be, or to have among others."""
    jwks_url: Annotated[str | None, Field(alias="jwksURL", max_length=512)] = None
    """Address of the provider's JSON Web Key Set, http or https; pods may connect to it. Either
    this or sharedKeySecretRef."""
    shared_key_secret_ref: KeyReference | None = None
    """Secret key that holds the secret which the issuer signs with (HS256, HS384, HS512), at least
    32 bytes. Either this or jwksURL."""
    clock_skew: types.Duration = "30s"
    """By how much the clocks of issuer and pods may differ, 0s to 5m."""
    claims: Claims = Claims()
    """Claims that say more than who asks."""

    RULES: ClassVar = guard_rules.JWT


class Auth(ApiModel):
    """How callers say who they are. It takes the section that its type names, and no other."""

    type: AuthType
    """None asks nobody, and is for tier Development only; APIKey takes keys of your own making; JWT
    takes tokens of an identity provider."""
    api_keys: ApiKeys | None = None
    """Settings of type APIKey."""
    jwt: Jwt | None = None
    """Settings of type JWT."""

    RULES: ClassVar = guard_rules.AUTH


class RequestRate(ApiModel):
    """How often one may ask.

    All pods of the system count together if spec.stores.redis is there, else each for itself.
    """

    requests_per_minute: Annotated[int, types.Strict(), Field(ge=1, le=1_000_000)] | None = None
    """Requests in any 60 seconds."""
    requests_per_day: Annotated[int, types.Strict(), Field(ge=1, le=1_000_000_000)] | None = None
    """Requests from midnight to midnight, UTC."""

    RULES: ClassVar = guard_rules.RATE


class Limits(ApiModel):
    """How much may be asked. What is above a limit is answered 429, and says when to come again."""

    concurrent_requests: Annotated[int, types.Strict(), Field(ge=1, le=1024)] = 1024
    """Requests that one pod answers at the same time. More wait, by priority and in fair shares of
    their tenants, as long as their turn comes soon; others are refused at once (429)."""
    per_key: RequestRate | None = None
    """Limit of each API key, or of each subject of tokens; needs guard.auth."""
    per_tenant: RequestRate | None = None
    """Limit of all callers of a tenant together; a caller without a tenant is one of its own. Needs
    guard.auth."""
    per_agent: RequestRate | None = None
    """Limit of what all callers together ask of one agent."""

    @property
    def counts_requests(self) -> bool:
        """Whether requests are counted."""
        return any((self.per_key, self.per_tenant, self.per_agent))

    def of_pod(self) -> "Limits":
        """Return what limits a pod by itself, whoever asks."""
        return Limits(concurrent_requests=self.concurrent_requests)


class Encryption(ApiModel):
    """Encryption of what is stored (Fernet: AES-128-CBC with HMAC-SHA-256)."""

    keys_secret_ref: KeyReference
    """Secret key with 1 to 10 Fernet keys, one a line: the first encrypts, all of them decrypt.
    Without a usable key sessions are refused; nothing is ever stored in the clear."""


class Guard(ApiModel):
    """What protects the system and the people who use it."""

    auth: Auth | None = None
    """How callers say who they are; must be stated in every tier but Development, where absent
    means type None."""
    limits: Limits | None = None
    """How much may be asked."""
    encryption: Encryption | None = None
    """Encryption of the turns of sessions in every store; absent: they are stored as they are."""
    pii: Pii | None = None
    """Personal data in requests and answers; absent: nothing is looked for."""

    RULES: ClassVar = guard_rules.GUARD
