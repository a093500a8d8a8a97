"""The rules of what a model endpoint may have beside address, timeout and key, as in `rules`."""

import re
from typing import TYPE_CHECKING

from agentsystem_operator.api.base import Rule, cel_string

if TYPE_CHECKING:
    from agentsystem_operator.api.endpoint import ProviderLimits
    from agentsystem_operator.api.spec import Anthropic, OpenAI

# Lower case, so that no name is there twice and none is forbidden in another spelling.
HEADER_PATTERN = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
HEADER_LENGTH = 64
# Keys come from Secrets alone; the others are set by whoever sends the request.
NOT_HEADERS = (
    "accept-encoding", "anthropic-version", "api-key", "authorization", "connection",
    "content-length", "content-type", "cookie", "expect", "host", "keep-alive",
    "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "x-api-key",
)  # fmt: skip
OPENAI_URL = "https://api.openai.com/v1"
# A path that ends where the client's own begins: /openai, /openai/v1, /openai/deployments/...
_AZURE_PATH = "^https?://[^/]+/(.*/)?openai(/.*)?$"


def _no_header_name(endpoint: "OpenAI | Anthropic") -> str | None:
    good = all(
        len(name) <= HEADER_LENGTH and re.fullmatch(HEADER_PATTERN, name)
        for name in endpoint.headers
    )
    return None if good else ""


def _not_a_resource(endpoint: "OpenAI") -> str | None:
    url = endpoint.base_url
    wrong = url == OPENAI_URL or re.fullmatch(_AZURE_PATH, url)
    return "" if endpoint.azure and wrong else None


_NAMES = ", ".join(map(cel_string, NOT_HEADERS))

HEADERS = (
    Rule(
        field="headers",
        message=(
            "every name must be lower-case letters, digits and '-', such as openai-organization;"
            f" at most {HEADER_LENGTH} characters"
        ),
        cel=(
            f"!has(self.headers) || self.headers.all(k, k.size() <= {HEADER_LENGTH} &&"
            f" k.matches({cel_string(HEADER_PATTERN)}))"
        ),
        broken=_no_header_name,
    ),
    Rule(
        field="headers",
        message=(
            "must not hold keys, and no header that is part of the protocol such as host or"
            " content-type; name the key's Secret in apiKeySecretRef"
        ),
        cel=f"!has(self.headers) || self.headers.all(k, !(k in [{_NAMES}]))",
        broken=lambda e: "" if not set(NOT_HEADERS).isdisjoint(e.headers) else None,
    ),
)

AZURE = (
    Rule(
        field="baseURL",
        message=(
            "must be the address of the Azure resource, for example https://NAME.openai.azure.com;"
            " the path to the deployment is added"
        ),
        cel=(
            f"!has(self.azure) || (self.baseURL != {cel_string(OPENAI_URL)} &&"
            f" !self.baseURL.matches({cel_string(_AZURE_PATH)}))"
        ),
        broken=_not_a_resource,
    ),
)


def _limits_nothing(limits: "ProviderLimits") -> str | None:
    stated = (limits.concurrency, limits.requests_per_minute, limits.tokens_per_minute)
    return "" if all(limit is None for limit in stated) else None


LIMITS = (
    Rule(
        field="",
        message="must set concurrency, requestsPerMinute or tokensPerMinute; or remove it",
        cel="has(self.concurrency) || has(self.requestsPerMinute) || has(self.tokensPerMinute)",
        broken=_limits_nothing,
    ),
)
