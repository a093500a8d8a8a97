"""The rules between the fields of `spec.guard`, each once in Python and once in CEL."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agentsystem_operator.api.base import Rule, cel_string
from agentsystem_operator.api.rules import BASE_URL_PATTERN, between
from agentsystem_operator.api.types import AuthType, Tier

if TYPE_CHECKING:
    from agentsystem_operator.api.guard import Auth, Guard, Jwt
    from agentsystem_operator.api.spec import AgentSystemSpec


def _section(field: str, attribute: str, of: AuthType) -> Iterator[Rule]:
    """Yield the rules that keep a section and the type together."""

    def section(auth: "Auth") -> object:
        return getattr(auth, attribute)

    yield Rule(
        field=field,
        message=f"is required with type {of}; add it",
        cel=f"self.type != '{of}' || has(self.{field})",
        broken=lambda auth: "" if auth.type is of and section(auth) is None else None,
    )
    yield Rule(
        field=field,
        message=f"is only for type {of}; remove it or set type: {of}",
        cel=f"self.type == '{of}' || !has(self.{field})",
        broken=lambda auth: "" if auth.type is not of and section(auth) is not None else None,
    )


AUTH = (
    *_section("apiKeys", "api_keys", AuthType.API_KEY),
    *_section("jwt", "jwt", AuthType.JWT),
)


def _wrong_url(jwt: "Jwt") -> str | None:
    url = jwt.jwks_url
    return None if url is None or re.fullmatch(BASE_URL_PATTERN, url) else ""


JWT = (
    Rule(
        field="",
        message="needs a source of keys: set either jwksURL or sharedKeySecretRef",
        cel="has(self.jwksURL) != has(self.sharedKeySecretRef)",
        broken=lambda jwt: (
            "" if (jwt.jwks_url is None) == (jwt.shared_key_secret_ref is None) else None
        ),
    ),
    Rule(
        field="jwksURL",
        message=(
            "must be the address of a key set: http(s)://host[:port][/path] without user, query or"
            " fragment"
        ),
        cel=f"!has(self.jwksURL) || self.jwksURL.matches({cel_string(BASE_URL_PATTERN)})",
        broken=_wrong_url,
    ),
    between("clock_skew", "0s", "5m", field="clockSkew"),
)


RATE = (
    Rule(
        field="",
        message="must set requestsPerMinute or requestsPerDay; or remove it",
        cel="has(self.requestsPerMinute) || has(self.requestsPerDay)",
        broken=lambda rate: (
            "" if rate.requests_per_minute is None and rate.requests_per_day is None else None
        ),
    ),
)


def _of_callers(field: str, attribute: str) -> Rule:
    """Return the rule that whose requests are counted is known."""

    def broken(guard: "Guard") -> str | None:
        limit = guard.limits and getattr(guard.limits, attribute)
        is_known = guard.auth is not None and guard.auth.type is not AuthType.NONE
        return None if limit is None or is_known else ""

    return Rule(
        field=f"limits.{field}",
        message="needs to know who asks; set guard.auth to type APIKey or JWT, or remove it",
        cel=(f"!self.?limits.?{field}.hasValue() || self.?auth.?type.orValue('None') != 'None'"),
        broken=broken,
    )


GUARD = (_of_callers("perKey", "per_key"), _of_callers("perTenant", "per_tenant"))


def _unstated(spec: "AgentSystemSpec") -> str | None:
    return "" if spec.tier is not Tier.DEVELOPMENT and spec.guard.auth is None else None


def _open(spec: "AgentSystemSpec") -> str | None:
    auth = spec.guard.auth
    asks_nobody = auth is not None and auth.type is AuthType.NONE
    return "" if spec.tier is not Tier.DEVELOPMENT and asks_nobody else None


# Not for stored objects: they are older than the rules, and what runs shall go on.
SPEC = (
    Rule(
        field="guard.auth",
        message=(
            "must be stated in every tier but Development; set type: APIKey or JWT, or tier:"
            " Development"
        ),
        cel="self.tier == 'Development' || self.?guard.?auth.hasValue()",
        broken=_unstated,
        for_stored=False,
    ),
    Rule(
        field="guard.auth.type",
        message="None is only for tier Development; set type: APIKey or JWT, or tier: Development",
        cel="self.tier == 'Development' || self.?guard.?auth.?type.orValue('') != 'None'",
        broken=_open,
        for_stored=False,
    ),
)
