"""Headers, Azure's paths and limits of model endpoints."""

from typing import Any

from tests.contract.api.case import bad, good
from tests.contract.api.table.rules import WITH_ANTHROPIC, WITH_OPENAI

OPENAI = "spec.providers[1].openAI"
ANTHROPIC = "spec.providers[1].anthropic"
RESOURCE = "https://acme.openai.azure.com"
NO_KEYS = "must not hold keys"
NO_NAME = "every name must be lower-case letters, digits and '-'"
NO_RESOURCE = "must be the address of the Azure resource"


def _headers(headers: object) -> dict[str, Any]:
    return {**WITH_OPENAI, f"{OPENAI}.headers": headers}


def _azure(url: object, version: object = "2024-10-21") -> dict[str, Any]:
    return {**WITH_OPENAI, f"{OPENAI}.baseURL": url, f"{OPENAI}.azure": {"apiVersion": version}}


_HEADERS = (
    good("a header", _headers({"openai-organization": "org-1"})),
    good("no headers", _headers({})),
    good("twenty headers", _headers({f"x-{n}": "a b" for n in range(20)})),
    good("the longest header", _headers({"x" * 64: "y" * 512})),
    good("a header of Anthropic's", {**WITH_ANTHROPIC, f"{ANTHROPIC}.headers": {"a": "b"}}),
    bad("21 headers", _headers({f"x-{n}": "a" for n in range(21)}), f"{OPENAI}.headers"),
    *(
        bad(f"header {name!r}", _headers({name: "a"}), f"{OPENAI}.headers", says=NO_NAME)
        for name in ("X-Team", "x team", "x_team", "-x", "x:", "", "x" * 65, "grüße")
    ),
    *(
        bad(f"header {name}", _headers({name: "a"}), f"{OPENAI}.headers", says=NO_KEYS)
        for name in ("authorization", "api-key", "x-api-key", "host", "connection", "cookie")
    ),
    bad(
        "a key among the headers of Anthropic",
        {**WITH_ANTHROPIC, f"{ANTHROPIC}.headers": {"x-api-key": "a"}},
        f"{ANTHROPIC}.headers",
        says=NO_KEYS,
    ),
    *(
        bad(f"header value {value!r}", _headers({"x-a": value}), f"{OPENAI}.headers.x-a")
        for value in ("", " a", "a ", "a\n", "ü", "y" * 513, 7)
    ),
)

_AZURE = (
    good("azure", _azure(RESOURCE)),
    good("azure with a preview", _azure(f"{RESOURCE}/", "2025-01-01-preview")),
    good("azure behind a gateway", _azure("https://openai.example.com/models")),
    good("azure in a host that is called openai", _azure("https://openai")),
    bad(
        "azure without an address",
        _azure("https://api.openai.com/v1"),
        f"{OPENAI}.baseURL",
        says=NO_RESOURCE,
    ),
    *(
        bad(f"azure at {path}", _azure(f"{RESOURCE}{path}"), f"{OPENAI}.baseURL", says=NO_RESOURCE)
        for path in ("/openai", "/openai/", "/openai/v1", "/a/openai/deployments/b")
    ),
    *(
        bad(f"azure version {version!r}", _azure(RESOURCE, version), f"{OPENAI}.azure.apiVersion")
        for version in ("", "latest", "2024-10-21-beta", "2024-1-1", 2024)
    ),
    bad(
        "azure without a version",
        {**WITH_OPENAI, f"{OPENAI}.baseURL": RESOURCE, f"{OPENAI}.azure": {}},
        f"{OPENAI}.azure.apiVersion",
    ),
)


def _limits(**limits: object) -> dict[str, Any]:
    return {**WITH_OPENAI, f"{OPENAI}.limits": limits}


_LIMITS = (
    good("one limit", _limits(concurrency=1)),
    good(
        "all limits",
        _limits(concurrency=10_000, requestsPerMinute=1_000_000, tokensPerMinute=1_000_000_000),
    ),
    good(
        "a limit of Anthropic's",
        {**WITH_ANTHROPIC, f"{ANTHROPIC}.limits": {"requestsPerMinute": 50}},
    ),
    bad("no limit", _limits(), f"{OPENAI}.limits", says="must set concurrency"),
    *(
        bad(f"{name} {value!r}", _limits(**{name: value}), f"{OPENAI}.limits.{name}")
        for name, most in (
            ("concurrency", 10_000),
            ("requestsPerMinute", 1_000_000),
            ("tokensPerMinute", 1_000_000_000),
        )
        for value in (0, -1, most + 1, "5", 1.5)
    ),
)

CASES = (*_HEADERS, *_AZURE, *_LIMITS)
