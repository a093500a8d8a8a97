"""Who may ask: each rule of `spec.guard` kept and broken."""

from typing import Any

from tests.contract.api.case import bad, good
from tests.contract.api.resources import API_KEYS, REMOVED

AUTH = "spec.guard.auth"
KEY = {"name": "callers", "key": "keys"}
URL = "https://id.example/.well-known/jwks.json"
JWT: dict[str, Any] = {
    "type": "JWT",
    "jwt": {"issuer": "https://id.example", "audience": "support", "jwksURL": URL},
}
MEMORY = {"spec.memory.sessions": {"store": "Memory"}}
STATE_IT = "must be stated in every tier but Development"
NOT_NONE = "None is only for tier Development; set type: APIKey or JWT"

_TIERS = (
    good("development without authentication", {}),
    good("development that says so", {AUTH: {"type": "None"}}),
    good("development with an empty guard", {"spec.guard": {}}),
    *(
        bad(f"{tier} without authentication", {"spec.tier": tier, **MEMORY}, AUTH, says=STATE_IT)
        for tier in ("Testing", "Staging", "Production")
    ),
    bad(
        "Production with an empty guard",
        {"spec.tier": "Production", "spec.guard": {}, **MEMORY},
        AUTH,
        says=STATE_IT,
    ),
    *(
        bad(
            f"{tier} that asks nobody",
            {"spec.tier": tier, AUTH: {"type": "None"}, **MEMORY},
            f"{AUTH}.type",
            says=NOT_NONE,
        )
        for tier in ("Testing", "Production")
    ),
    good("Production with keys", {"spec.tier": "Production", AUTH: API_KEYS, **MEMORY}),
    good("Production with tokens", {"spec.tier": "Production", AUTH: JWT, **MEMORY}),
)

_SECTIONS = (
    good("keys in development", {AUTH: API_KEYS}),
    bad(
        "keys without their section",
        {AUTH: {"type": "APIKey"}},
        f"{AUTH}.apiKeys",
        says="is required with type APIKey",
    ),
    bad(
        "tokens without their section",
        {AUTH: {"type": "JWT"}},
        f"{AUTH}.jwt",
        says="is required with type JWT",
    ),
    bad(
        "keys beside tokens",
        {AUTH: {**API_KEYS, "jwt": JWT["jwt"]}},
        f"{AUTH}.jwt",
        says="is only for type JWT; remove it",
    ),
    bad(
        "nobody is asked, by keys",
        {AUTH: {**API_KEYS, "type": "None"}},
        f"{AUTH}.apiKeys",
        says="is only for type APIKey; remove it",
    ),
    bad("another way", {AUTH: {"type": "Basic"}}, f"{AUTH}.type"),
    bad("keys of nobody", {AUTH: {"type": "APIKey", "apiKeys": {}}}, f"{AUTH}.apiKeys.secretRef"),
)

_TOKENS = (
    good("tokens by a shared key", {AUTH: JWT, f"{AUTH}.jwt.sharedKeySecretRef": KEY,
                                    f"{AUTH}.jwt.jwksURL": REMOVED}),
    good(
        "tokens in full",
        {
            AUTH: JWT,
            f"{AUTH}.jwt.clockSkew": "0s",
            f"{AUTH}.jwt.claims": {
                "tenant": "org.id",
                "roles": "https://acme.example/roles",
                "priority": "tier",
            },
        },
    ),
    bad(
        "tokens with two sources of keys",
        {AUTH: JWT, f"{AUTH}.jwt.sharedKeySecretRef": KEY},
        f"{AUTH}.jwt",
        says="set either jwksURL or sharedKeySecretRef",
    ),
    bad(
        "tokens without a source of keys",
        {AUTH: JWT, f"{AUTH}.jwt.jwksURL": REMOVED},
        f"{AUTH}.jwt",
        says="set either jwksURL or sharedKeySecretRef",
    ),
    *(
        bad(
            f"keys at {url}",
            {AUTH: JWT, f"{AUTH}.jwt.jwksURL": url},
            f"{AUTH}.jwt.jwksURL",
            says="must be the address of a key set",
        )
        for url in ("", "id.example", "ftp://id.example", "https://u@id.example", f"{URL}?a=b")
    ),
    good("the longest skew", {AUTH: JWT, f"{AUTH}.jwt.clockSkew": "5m"}),
    bad(
        "too long a skew",
        {AUTH: JWT, f"{AUTH}.jwt.clockSkew": "6m"},
        f"{AUTH}.jwt.clockSkew",
        says="must be between 0s and 5m",
    ),
    bad("a skew that is none", {AUTH: JWT, f"{AUTH}.jwt.clockSkew": "x"}, f"{AUTH}.jwt.clockSkew"),
    bad("no issuer", {AUTH: JWT, f"{AUTH}.jwt.issuer": ""}, f"{AUTH}.jwt.issuer"),
    bad("no audience", {AUTH: JWT, f"{AUTH}.jwt.audience": REMOVED}, f"{AUTH}.jwt.audience"),
    bad("an empty claim", {AUTH: JWT, f"{AUTH}.jwt.claims": {"tenant": ""}},
        f"{AUTH}.jwt.claims.tenant"),
)  # fmt: skip

LIMIT = "spec.guard.limits.concurrentRequests"
_LIMITS = (
    good("one request at a time", {LIMIT: 1}),
    good("as many as there can be", {LIMIT: 1024}),
    good("limits that state nothing", {"spec.guard.limits": {}}),
    bad("no request at all", {LIMIT: 0}, LIMIT),
    bad("too many at once", {LIMIT: 1025}, LIMIT),
)

LIMITS = "spec.guard.limits"
RATE = {"requestsPerMinute": 60}
NEEDS_CALLERS = "needs to know who asks; set guard.auth to type APIKey or JWT"
_RATES = (
    good("a limit of each agent, and nobody is asked", {f"{LIMITS}.perAgent": RATE}),
    good(
        "limits in full",
        {
            AUTH: API_KEYS,
            LIMITS: {
                "concurrentRequests": 5,
                "perKey": {"requestsPerMinute": 1, "requestsPerDay": 1},
                "perTenant": {"requestsPerMinute": 1_000_000},
                "perAgent": {"requestsPerDay": 1_000_000_000},
            },
        },
    ),
    good("a limit of each subject of tokens", {AUTH: JWT, f"{LIMITS}.perKey": RATE}),
    *(
        bad(
            f"{field} where {nobody}",
            {**auth, f"{LIMITS}.{field}": RATE},
            f"{LIMITS}.{field}",
            says=NEEDS_CALLERS,
        )
        for field in ("perKey", "perTenant")
        for nobody, auth in (
            ("nothing is said of callers", {}),
            ("nobody is asked", {AUTH: {"type": "None"}}),
        )
    ),
    *(
        bad(
            f"{field} that limits nothing",
            {AUTH: API_KEYS, f"{LIMITS}.{field}": {}},
            f"{LIMITS}.{field}",
            says="must set requestsPerMinute or requestsPerDay",
        )
        for field in ("perKey", "perTenant", "perAgent")
    ),
    *(
        bad(
            f"{number} {field}",
            {f"{LIMITS}.perAgent": {field: number}},
            f"{LIMITS}.perAgent.{field}",
        )
        for field, most in (("requestsPerMinute", 1_000_000), ("requestsPerDay", 1_000_000_000))
        for number in (0, most + 1)
    ),
)

CASES = (*_TIERS, *_SECTIONS, *_TOKENS, *_LIMITS, *_RATES)
