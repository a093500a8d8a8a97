"""A model that answers from a script: deterministic, offline, slow or broken on demand.

The n-th request of a process always gets the n-th behaviour; nothing is random.
"""

import asyncio
import itertools
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

import orjson

from agent_runtime.providers import embedding, failures, tokens
from agent_runtime.providers.base import (
    Answer,
    Chunk,
    ErrorClass,
    Json,
    Prompt,
    ProviderError,
    Texts,
    Vectors,
)
from agent_runtime.providers.pattern_cost import MAX_MATCHED_TEXT
from agent_runtime.providers.script import PLACEHOLDER, Fault, Latency, Rule, Script, Tokens

_RECALLED_MESSAGES = 100  # how far back a recall looks
_MESSAGE_SHOWN = 200  # characters of {message}

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Line:
    """What a script says to one request, and how."""

    text: str
    tokens: Tokens | None
    latency: Latency
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one request will do."""

    pieces: Sequence[str]
    finish_reason: str
    usage: Json
    latency: Latency
    fault: Fault | None


class _CompiledRule:
    """A rule with its patterns compiled and its own request count."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.match = re.compile(rule.match)
        self.recall = re.compile(rule.recall) if rule.recall is not None else None
        self.requests = itertools.count(1)

    def answer(self, said: Sequence[str]) -> tuple[str, dict[str, str]] | None:
        """Return the template and its values if the newest message matches."""
        found = self.match.search(said[-1][:MAX_MATCHED_TEXT])
        if found is None:
            return None
        values = _captured(found)
        if self.recall is None:
            return self.rule.answer or "", values
        earlier = itertools.islice(reversed(said[:-1]), _RECALLED_MESSAGES)
        hits = (self.recall.search(text[:MAX_MATCHED_TEXT]) for text in earlier)
        recalled = next((hit for hit in hits if hit), None)
        if recalled is None:
            return self.rule.otherwise or "", values
        return self.rule.answer or "", values | _captured(recalled)


class Reader:
    """Reads a `Script`: counts the requests, and finds what each one is told."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._rules = [_CompiledRule(rule) for rule in script.rules]
        self._requests = itertools.count(1)

    def line(self, messages: Sequence[Json], agent: str) -> Line:
        """Return what is said to the conversation, in the name of `agent`."""
        said = [tokens.text_of(m) for m in messages if m.get("role") == "user"] or [""]
        number = next(self._requests)
        template, rule = self._script.default, None
        values: dict[str, str] = {}
        for candidate in self._rules:
            if found := candidate.answer(said):
                (template, values), rule = found, candidate
                break
        values |= {"agent": agent, "message": said[-1][:_MESSAGE_SHOWN], "turn": str(len(said))}
        return Line(
            text=PLACEHOLDER.sub(lambda hit: values.get(hit.group(1), hit.group()), template),
            tokens=rule.rule.tokens if rule else None,
            latency=(rule and rule.rule.latency) or self._script.latency,
            fault=_due(self._script.faults, number) or (rule and _rule_fault(rule)) or None,
        )


class ScriptedProvider:
    """Answers from a `Script`; `sleep` is a parameter so that tests need not wait."""

    def __init__(self, name: str, script: Script, *, sleep: Sleep = asyncio.sleep) -> None:
        self._name = name
        self._reader = Reader(script)
        self._sleep = sleep

    async def complete(self, prompt: Prompt) -> Answer:
        """Return the scripted answer after its latency, or fail as the script says."""
        plan = self._plan(prompt)
        wait = plan.latency.first_token_seconds + plan.latency.per_token_seconds * len(plan.pieces)
        if wait:
            await self._sleep(wait)
        self._fail_at_once(plan.fault)
        message = {"role": "assistant", "content": "".join(plan.pieces)}
        return Answer(message, plan.finish_reason, plan.usage)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield the scripted answer token by token."""
        plan = self._plan(prompt)
        if plan.latency.first_token_seconds:
            await self._sleep(plan.latency.first_token_seconds)
        if plan.fault and plan.fault.kind != "reset":
            raise self._failure(plan.fault)
        for number, piece in enumerate(plan.pieces):
            if plan.fault and number >= plan.fault.after_tokens:
                raise self._failure(plan.fault)
            # even 0: a long answer must not keep the event loop to itself
            await self._sleep(plan.latency.per_token_seconds)
            yield Chunk({"content": piece})
        if plan.fault:
            raise self._failure(plan.fault)
        yield Chunk({}, plan.finish_reason, plan.usage)

    async def embed(self, texts: Texts) -> Vectors:
        """Return vectors that depend on the texts alone; the first text meets latency and faults.

        Without `dimensions` they are as long as those of OpenAI's small model.
        """
        dimensions = texts.options.get("dimensions") or embedding.DIMENSIONS
        if dimensions > embedding.MAX_DIMENSIONS:
            text = f"provider {self._name!r} makes at most {embedding.MAX_DIMENSIONS} dimensions"
            raise ProviderError(ErrorClass.REFUSED, self._name, text)
        first = texts.inputs[0] if isinstance(texts.inputs[0], str) else ""
        line = self._reader.line([{"role": "user", "content": first}], texts.agent)
        if line.latency.first_token_seconds:
            await self._sleep(line.latency.first_token_seconds)
        self._fail_at_once(line.fault)
        vectors = []
        for item in texts.inputs:
            content = item.encode() if isinstance(item, str) else orjson.dumps(item)
            numbers = embedding.vector(content, dimensions)
            vectors.append(embedding.written(numbers, texts.options))
            await self._sleep(0)  # many texts must not keep the event loop to themselves
        return Vectors(vectors, tokens.of_inputs(texts.inputs))

    def _fail_at_once(self, fault: Fault | None) -> None:
        if fault and fault.kind == "reset":
            # nobody has seen a piece of a whole answer, so it is a lost connection to the caller
            raise self._failure(fault, ErrorClass.CONNECT)
        if fault:
            raise self._failure(fault)

    def _plan(self, prompt: Prompt) -> _Plan:
        line = self._reader.line(prompt.messages, prompt.agent)
        pieces, finish_reason = _cut(tokens.split_tokens(line.text), prompt.options)
        usage = _usage(prompt, pieces, line.tokens)
        return _Plan(pieces, finish_reason, usage, line.latency, line.fault)

    def _failure(self, fault: Fault, seen_as: ErrorClass | None = None) -> ProviderError:
        match fault.kind:
            case "status":
                error_class = failures.class_of(fault.status or 500)
                text = f"answered {fault.status}"
            case "connect":
                error_class, text = ErrorClass.CONNECT, "cannot be reached"
            case "timeout":
                error_class, text = ErrorClass.TIMEOUT, "did not answer in time"
            case "reset":
                error_class, text = ErrorClass.BROKEN, "broke off in the middle of its answer"
            case _:
                assert_never(fault.kind)
        return ProviderError(
            seen_as or error_class,
            self._name,
            f"provider {self._name!r} {text} (scripted)",
            retry_after_s=fault.retry_after_seconds,
        )


def _captured(found: re.Match[str]) -> dict[str, str]:
    return {name: value or "" for name, value in found.groupdict().items()}


def _due(faults: Sequence[Fault], number: int) -> Fault | None:
    return next((fault for fault in faults if number % fault.every == 0), None)


def _rule_fault(rule: _CompiledRule) -> Fault | None:
    fault = rule.rule.fault
    return _due([fault], next(rule.requests)) if fault else None


def _cut(pieces: Sequence[str], options: Json) -> tuple[Sequence[str], str]:
    limit = options.get("max_completion_tokens", options.get("max_tokens"))
    if isinstance(limit, int) and 0 < limit < len(pieces):
        return pieces[:limit], "length"
    return pieces, "stop"


def _usage(prompt: Prompt, pieces: Sequence[str], stated: Tokens | None) -> Json:
    if stated:
        return tokens.usage(stated.prompt, stated.completion)
    return tokens.usage(tokens.prompt_tokens(prompt.messages), len(pieces))
