"""The one interface that every model, and every wrapper around a model, has.

Messages stay the JSON objects that the client sent, so that fields unknown to us reach the model.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from agent_runtime.guard.principal import ANONYMOUS, Principal
from agent_runtime.providers.receipt import Receipt

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked: the whole conversation, the client's options for it, and who asks."""

    agent: str
    messages: Sequence[Json]
    options: Json = field(default_factory=dict)
    principal: Principal = ANONYMOUS
    receipt: Receipt = field(default_factory=Receipt, compare=False)
    """Where the wrappers say what they did for it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole reply: the assistant's message, why it ended, and what it cost in tokens."""

    message: Json
    finish_reason: str
    usage: Json
    estimated: bool = False
    """Whether the usage is counted by us, since the provider did not tell it."""
    model: str | None = None
    """The model that answered, as the endpoint calls it, if it told."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a streamed reply; the last one carries `finish_reason`, and what else is known."""

    delta: Json
    finish_reason: str | None = None
    usage: Json | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Texts:
    """What is to be embedded: texts, or lists of a model's own tokens; and the client's options."""

    agent: str
    inputs: Sequence[str | Sequence[int]]
    options: Json = field(default_factory=dict)
    receipt: Receipt = field(default_factory=Receipt, compare=False)


@dataclass(frozen=True, slots=True)
class Vectors:
    """One vector for each input, in their order, and what they cost in tokens.

    A vector is a list of numbers or base64, as `encoding_format` asked.
    """

    vectors: Sequence[list[float] | str]
    usage: Json


class ErrorClass(StrEnum):
    """Why a provider did not answer; the label of `agent_provider_errors_total`.

    `failures` has the table of what follows from each.
    """

    CONNECT = "connect"  # no connection, or lost before anything was answered
    TIMEOUT = "timeout"  # nothing came within the provider's timeout
    RATE_LIMITED = "rate_limited"  # too many requests or tokens at this moment
    QUOTA_EXHAUSTED = "quota_exhausted"  # the account has no credit left
    OVERLOADED = "overloaded"  # the provider says that it has too much to do
    SERVER_ERROR = "server_error"  # any other fault of the provider's
    KEY_MISSING = "key_missing"  # the key's file is absent or empty
    AUTH = "auth"  # the key is there and refused
    REFUSED = "refused"  # the request itself is at fault
    CONTEXT_TOO_LONG = "context_too_long"  # more tokens than the model takes
    CONTENT_POLICY = "content_policy"  # the provider will not answer this
    UNSUPPORTED = "unsupported"  # its API has nothing of the kind
    BAD_ANSWER = "bad_answer"  # any other status, or a body that is no answer
    BROKEN = "broken"  # the stream ended before the answer did
    LIMITED = "limited"  # not asked, since our own limit for it was reached
    CIRCUIT_OPEN = "circuit_open"  # not asked, since it has failed again and again
    BUDGET_SPENT = "budget_spent"  # not asked, since the budget has no room for it
    BUDGET_UNKNOWN = "budget_unknown"  # not asked, since nobody knows what is left of the budget
    UNPRICED = "unpriced"  # not asked, since there is a budget and its model has no known price


class ProviderError(Exception):
    """A provider did not answer; whether another may be tried is the route's decision."""

    def __init__(
        self,
        error_class: ErrorClass,
        provider: str,
        message: str,
        *,
        retry_after_s: float | None = None,
        detail: Json | None = None,
        after: ErrorClass | None = None,
    ) -> None:
        """`after`: the failure because of which the provider was not even asked."""
        super().__init__(message)
        self.error_class = error_class
        self.provider = provider
        self.message = message
        self.retry_after_s = retry_after_s
        self.detail = detail
        self.after = after
        self.usage: Json | None = None
        """What a stream had told of its cost before it failed."""


class Provider(Protocol):
    """A model that answers prompts. All methods raise `ProviderError` and nothing else."""

    async def complete(self, prompt: Prompt) -> Answer:
        """Return the whole answer."""
        ...

    def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield the answer in pieces; only the last piece has a `finish_reason`."""
        ...

    async def embed(self, texts: Texts) -> Vectors:
        """Return a vector for each input; `unsupported` if its API has none."""
        ...
