"""What both wire protocols have in common: what is asked, what is answered, what it costs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Protocol

from agent_runtime.providers.base import Json
from agent_runtime.simulator.limiter import Level
from agent_runtime.simulator.prompt_cache import Block

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Request:
    """One HTTP request."""

    method: str = ""
    path: str = ""
    headers: dict[bytes, str] = field(default_factory=dict)
    body: bytes = b""
    keep_alive: bool = True
    query: str = ""


class Finish(Enum):
    """Why an answer ends; each protocol has its own words for it."""

    STOP = auto()  # the model had said everything
    LENGTH = auto()  # the request's own limit of tokens
    TOOL = auto()  # the model calls a tool


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens; `input` is neither written to nor read from a prompt cache."""

    input: int
    output: int
    cache_write: int = 0
    cache_read: int = 0

    @property
    def total(self) -> int:
        """Return all tokens together."""
        return self.input + self.output + self.cache_write + self.cache_read

    def plus(self, other: "Usage") -> "Usage":
        """Return the sum."""
        return Usage(
            self.input + other.input,
            self.output + other.output,
            self.cache_write + other.cache_write,
            self.cache_read + other.cache_read,
        )

    def as_json(self) -> Json:
        """Return the counts under the names of docs/simulator.md."""
        return {
            "inputTokens": self.input,
            "outputTokens": self.output,
            "cacheWriteTokens": self.cache_write,
            "cacheReadTokens": self.cache_read,
        }


NO_USAGE = Usage(0, 0)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the client offers, and the JSON schema of its arguments."""

    name: str
    schema: Json


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for an answer, read by its protocol."""

    model: str
    messages: Sequence[Json]
    blocks: Sequence[Block]
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    tools: Sequence[Tool] = ()
    must_call: str | None = None  # a tool's name
    json_schema: Json | None = None  # an answer in JSON; {} leaves its shape to us


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; `pieces` are its tokens, or those of the arguments if it calls `tool`."""

    id: str
    model: str
    pieces: Sequence[str]
    tool: str | None
    finish: Finish
    usage: Usage


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer as events: an opening, one event for each piece, a closing."""

    opening: bytes
    pieces: Iterable[bytes]
    closing: bytes


class Refused(Exception):  # the condition is the name
    """The request cannot be answered; the protocol writes why in its own shape."""

    def __init__(self, status: int, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


class Wire(Protocol):
    """One provider's protocol: pure, bytes and JSON in and out."""

    def asked(self, body: Json) -> Asked:
        """Return what is asked, or raise `Refused`."""
        ...

    def whole(self, answer: Answer) -> bytes:
        """Return the body of a plain answer."""
        ...

    def stream(self, answer: Answer, *, include_usage: bool) -> Stream:
        """Return the events of a streamed answer."""
        ...

    def error(self, status: int, message: str | None = None, code: str | None = None) -> bytes:
        """Return an error's body; without a message the protocol's usual one."""
        ...

    def error_event(self, error: bytes) -> bytes:
        """Return the event that tells an error inside a stream."""
        ...

    def half_event(self) -> bytes:
        """Return an event that breaks off in the middle of its JSON."""
        ...

    def quota(self, status: int | None) -> tuple[int, bytes]:
        """Return status and body of "nothing is left on this account"."""
        ...

    def limit_headers(self, levels: Sequence[Level], now: float) -> Headers:
        """Return the headers that tell how much of a rate limit is left."""
        ...


def checked(body: Json, name: str, kind: type, *, required: bool = False) -> Any:  # a JSON edge
    """Return a field of a body, None if it is absent; raise `Refused` if its type is another."""
    value = body.get(name)
    if value is None:
        if required:
            raise Refused(400, f"{name}: Field required", code="missing_required_parameter")
        return None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        text = f"{name}: must be of type {_KINDS[kind]}"
        raise Refused(400, text, code="invalid_type")
    return value


_KINDS = {str: "string", list: "array", dict: "object", int: "integer", bool: "boolean"}


def conversation(body: Json) -> list[Json]:
    """Return the messages of a body, or raise `Refused`."""
    messages: list[Json] = checked(body, "messages", list, required=True)
    if not messages:
        raise Refused(400, "messages: must not be empty", code="empty_array")
    if not all(isinstance(message, dict) for message in messages):
        raise Refused(400, "messages: must hold objects", code="invalid_type")
    return messages
