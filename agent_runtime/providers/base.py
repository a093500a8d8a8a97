"""The one interface that every model, and every wrapper around a model, has.

Messages stay the JSON objects that the client sent, so that fields unknown to us reach the model.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked: the whole conversation, and the client's options for it."""

    agent: str
    messages: Sequence[Json]
    options: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole reply: the assistant's message, why it ended, and what it cost in tokens."""

    message: Json
    finish_reason: str
    usage: Json


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a streamed reply; the last one carries `finish_reason`, and `usage` if known."""

    delta: Json
    finish_reason: str | None = None
    usage: Json | None = None


class ErrorClass(StrEnum):
    """Why a provider did not answer; the label of `agent_provider_errors_total`."""

    CONNECT = "connect"  # no connection, or lost before anything was answered
    TIMEOUT = "timeout"  # nothing came within the provider's timeout
    RATE_LIMITED = "rate_limited"  # HTTP 429
    SERVER_ERROR = "server_error"  # HTTP 5xx
    KEY_MISSING = "key_missing"  # the key's file is absent or empty
    AUTH = "auth"  # HTTP 401 or 403: the key is there and refused
    REFUSED = "refused"  # HTTP 400, 413, 422: the request itself is at fault
    BAD_ANSWER = "bad_answer"  # any other status, or a body that is no chat completion
    BROKEN = "broken"  # the stream ended before the answer did


class ProviderError(Exception):
    """A provider did not answer; whether another may be tried is the route's decision."""

    def __init__(
        self,
        error_class: ErrorClass,
        provider: str,
        message: str,
        *,
        retry_after: str | None = None,
        detail: Json | None = None,
    ) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.provider = provider
        self.message = message
        self.retry_after = retry_after
        self.detail = detail


class Provider(Protocol):
    """A model that answers prompts. Both methods raise `ProviderError` and nothing else."""

    async def complete(self, prompt: Prompt) -> Answer:
        """Return the whole answer."""
        ...

    def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield the answer in pieces; only the last piece has a `finish_reason`."""
        ...
