"""What an endpoint of the rendered config may have beside address, timeout and key (v1.1)."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from agent_runtime.problems import Strict

MAX_HEADERS = 20

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]{0,62}[A-Za-z0-9])?")
# keys come from files alone; the rest is the business of the one who sends
_OURS = frozenset(
    {
        "accept-encoding", "anthropic-version", "api-key", "authorization", "connection",
        "content-length", "content-type", "cookie", "expect", "host", "keep-alive",
        "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "x-api-key",
    }
)  # fmt: skip


def _headers(headers: dict[str, str]) -> dict[str, str]:
    names = [name.lower() for name in headers]
    if not all(_NAME.fullmatch(name) for name in names) or len(set(names)) < len(names):
        raise ValueError("has a name that is none, or twice; use letters, digits and dashes")
    if not _OURS.isdisjoint(names):
        raise ValueError(
            "has a header that is set by the runtime or holds a key; remove it, and name the key's "
            "file in apiKey"
        )
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise ValueError("has a value that no header can have; use printable ASCII")
    return headers


Headers = Annotated[
    dict[str, Annotated[str, Field(min_length=1, max_length=512)]],
    Field(max_length=MAX_HEADERS),
    AfterValidator(_headers),
]


class AzureEntry(Strict):
    """Azure OpenAI's paths: a model is a deployment, and the version of the API is stated."""

    api_version: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?$")] = Field(
        alias="apiVersion"
    )


class LimitsEntry(Strict):
    """How often the account may be asked; shared by all pods if `stores.redis` is there."""

    concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, alias="requestsPerMinute"
    )
    tokens_per_minute: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        None, alias="tokensPerMinute"
    )

    @model_validator(mode="after")
    def _limits_something(self) -> "LimitsEntry":
        if not self.model_fields_set:
            raise ValueError("limits nothing; set one of its fields, or remove it")
        return self
