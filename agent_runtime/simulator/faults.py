"""What one can order from the simulator: faults, whom they strike, limits, answers.

Everything is checked here, before anything changes; docs/simulator.md describes it for users.
"""

import functools
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, ValidationError, field_validator, model_validator

from agent_runtime.problems import Invalid, Problem, Strict, problems_of
from agent_runtime.providers.script import Script

MAX_RULES = 200
DIRECTIVE_IN_MODEL = "simulate:"

Kind = Literal[
    "latency", "status", "quota", "hang", "reset", "trickle", "slowHeaders", "errorBody",
    "malformed", "contentType", "truncate",
]  # fmt: skip
Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
Chunks = Annotated[int, Field(ge=0, le=1_000_000)]

_DELAYS = frozenset({"kind", "firstSeconds", "perChunkSeconds"})  # these suit every kind
_ALSO = {
    "status": {"status", "body", "retryAfterSeconds", "retryAfterDate"},
    "quota": {"status", "retryAfterSeconds", "retryAfterDate"},
    "hang": {"afterChunks"},
    "reset": {"afterChunks"},
    "slowHeaders": {"perByteSeconds"},
    "errorBody": {"afterChunks", "body"},
    "malformed": {"afterChunks"},
    "contentType": {"contentType", "body"},
    "truncate": {"afterChunks"},
}


class Fault(Strict):
    """One way to answer badly. Without `afterChunks` a hang or reset comes before the headers."""

    kind: Kind
    first_seconds: Seconds = Field(0.0, alias="firstSeconds")
    per_chunk_seconds: Seconds = Field(0.0, alias="perChunkSeconds")
    per_byte_seconds: Seconds = Field(0.2, alias="perByteSeconds")
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    body: Any = None  # sent as it is: text as text, anything else as JSON
    retry_after_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = Field(
        None, alias="retryAfterSeconds"
    )
    retry_after_date: bool = Field(False, alias="retryAfterDate")
    after_chunks: Chunks | None = Field(None, alias="afterChunks")
    content_type: Annotated[str, Field(max_length=200)] = Field("text/html", alias="contentType")

    @field_validator("body")
    @classmethod
    def _body_can_be_sent(cls, body: Any) -> Any:
        try:
            orjson.dumps([[[[[[body]]]]]])  # as deep as GET /control shows it
        except TypeError as exc:
            raise ValueError("is nested too deeply or is no JSON; flatten it") from exc
        return body

    @field_validator("content_type")
    @classmethod
    def _content_type_is_a_header(cls, text: str) -> str:
        if not (text.isascii() and text.isprintable()):
            raise ValueError("is no header value; write printable ASCII")
        return text

    @model_validator(mode="after")
    def _fields_suit_the_kind(self) -> "Fault":
        given = {type(self).model_fields[name].alias or name for name in self.model_fields_set}
        strange = sorted(given - _DELAYS - _ALSO.get(self.kind, set()))
        if strange:
            raise ValueError(f"has `{strange[0]}`, which kind {self.kind} does not know; remove it")
        if self.kind == "status" and self.status is None:
            raise ValueError("lacks `status`; add the HTTP status to answer")
        if self.kind == "latency" and not (self.first_seconds or self.per_chunk_seconds):
            raise ValueError("lacks a delay; add `firstSeconds` or `perChunkSeconds`")
        if self.retry_after_date and self.retry_after_seconds is None:
            raise ValueError("has `retryAfterDate` alone; add `retryAfterSeconds`")
        return self


class Match(Strict):
    """Whom a rule strikes; what is absent matches everybody. Paths, models, headers are globs."""

    path: Annotated[str, Field(max_length=300)] | None = None
    model: Annotated[str, Field(max_length=300)] | None = None
    key: Annotated[str, Field(max_length=64)] | None = None  # as GET /control/counts names it
    stream: bool | None = None
    headers: Annotated[dict[str, str], Field(max_length=20)] = Field(default_factory=dict)
    every: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: int = 0

    @model_validator(mode="after")
    def _is_one_choice(self) -> "Match":
        if self.every is not None and self.share is not None:
            raise ValueError("has both `every` and `share`; keep one of them")
        if "seed" in self.model_fields_set and self.share is None:
            raise ValueError("has a `seed` and no `share`; add `share` or remove `seed`")
        return self


class Rule(Strict):
    """A fault for those who match, until it has struck `count` times or `seconds` are over."""

    fault: Fault
    match: Match = Field(default_factory=lambda: Match.model_validate({}))
    count: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None


class Limits(Strict):
    """What each key may use in a minute; None is no limit."""

    requests_per_minute: Annotated[int, Field(ge=1)] | None = Field(None, alias="requestsPerMinute")
    tokens_per_minute: Annotated[int, Field(ge=1)] | None = Field(None, alias="tokensPerMinute")


class PromptCache(Strict):
    """How the Anthropic side caches prompts."""

    min_tokens: Annotated[int, Field(ge=0)] = Field(0, alias="minTokens")
    ttl_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(300.0, alias="ttlSeconds")


class Control(Strict):
    """All that can be ordered, in one document; an absent part is its default."""

    rules: Annotated[list[Rule], Field(max_length=MAX_RULES)] = Field(default_factory=list)
    limits: Limits = Field(default_factory=lambda: Limits.model_validate({}))
    answers: Script | None = None
    prompt_cache: PromptCache = Field(
        default_factory=lambda: PromptCache.model_validate({}), alias="promptCache"
    )


def parse_control(body: bytes) -> Control:
    """Return the document in a request's body, or raise `Invalid` naming each wrong field."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        fix = f"see line {exc.lineno}, column {exc.colno}"
        raise Invalid([Problem("(whole body)", "is not valid JSON", fix)]) from exc
    return control_of(document, whole="(whole body)")


def control_of(document: Any, *, whole: str) -> Control:  # a JSON edge
    """Return a parsed document as what it orders, or raise `Invalid` naming each wrong field."""
    if not isinstance(document, dict):
        fix = 'write an object such as {"rules": []}'
        raise Invalid([Problem(whole, "is no object", fix)])
    try:
        return Control.model_validate(document)
    except ValidationError as exc:
        raise Invalid(problems_of(exc, known="the control document")) from exc


@functools.lru_cache(maxsize=256)  # a load of requests orders the same fault again and again
def parse_directive(text: str) -> Fault:
    """Return the fault in `kind; field=value; ...` or in a JSON object, or raise `Invalid`."""
    try:
        fields = orjson.loads(text) if text.lstrip().startswith("{") else _fields(text)
        return Fault.model_validate(fields)
    except orjson.JSONDecodeError as exc:
        raise Invalid([Problem("x-simulate", "is not valid JSON", "correct it")]) from exc
    except ValidationError as exc:
        raise Invalid(problems_of(exc, known="a fault", prefix="x-simulate")) from exc


def directive_in(model: str) -> str | None:
    """Return what a model's name orders: `gpt/simulate:status:status@503` is `status; status=503`.

    A resource's model names allow neither `;` nor `=`.
    """
    _, found, ordered = model.partition(DIRECTIVE_IN_MODEL)
    return ordered.replace(":", ";").replace("@", "=") if found else None


def _fields(text: str) -> dict[str, Any]:
    kind, *settings = (part.strip() for part in text.split(";"))
    fields: dict[str, Any] = {"kind": kind}
    for setting in filter(None, settings):
        name, _, value = setting.partition("=")
        fields[name.strip()] = _value(value.strip())
    return fields


def _value(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
