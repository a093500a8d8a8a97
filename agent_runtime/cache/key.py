"""What makes two questions the same, and which answers may be kept. Pure.

Exact: one hash over the bytes of all that reaches a model. Nothing is sorted or tidied up, since an
order may matter (the properties of a JSON schema are answered in theirs).
"""

import hashlib
from collections.abc import Sequence

import orjson

from agent_runtime.providers.base import Json, Prompt

_TOOLS = frozenset({"tools", "functions", "web_search_options"})
_RESULTS = frozenset({"tool", "function"})
_WITHOUT_EFFECT = frozenset({"prompt_cache_key", "prompt_cache_retention", "safety_identifier"})
"""OpenAI's API says of these that they do not touch the answer. `user` and `metadata` are not among
them: compatible endpoints answer by them."""


def of(prompt: Prompt, revision: str) -> bytes | None:
    """Return the key of a question, None if its answer must not be kept.

    Tools act on the world and look at it, so what has to do with them is never answered from
    memory. `revision` stands for the configuration: instructions, models, what is masked.
    """
    options = prompt.options
    if not _TOOLS.isdisjoint(options) and any(_is_given(options, name) for name in _TOOLS):
        return None
    if _had_tools(prompt.messages):
        return None
    if not _WITHOUT_EFFECT.isdisjoint(options):
        options = {key: value for key, value in options.items() if key not in _WITHOUT_EFFECT}
    question = (revision, prompt.principal.tenant, prompt.agent, prompt.messages, options)
    try:
        return hashlib.sha256(orjson.dumps(question)).digest()
    except orjson.JSONEncodeError:  # nested so deeply that it is written nowhere
        return None


def _is_given(options: Json, name: str) -> bool:
    return options.get(name) not in (None, [], False)  # while {} asks for a search as it comes


def _had_tools(messages: Sequence[Json]) -> bool:
    # of every request, and any() takes twice as long
    for message in messages:  # noqa: SIM110
        if message.get("role") in _RESULTS or _calls(message):
            return True
    return False


def _calls(message: Json) -> bool:
    return bool(message.get("tool_calls") or message.get("function_call"))


def may_be_kept(message: Json, finish_reason: str) -> bool:
    """Return whether an answer is whole, is one, and asks for no tool.

    What was cut off (`length`) or suppressed (`content_filter`) may come out better the next time.
    """
    if finish_reason != "stop" or _calls(message):
        return False
    content = message.get("content")
    return isinstance(content, str) and bool(content) and not message.get("refusal")
