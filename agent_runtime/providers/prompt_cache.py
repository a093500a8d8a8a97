"""Where a prompt is marked, so that Anthropic's API reads its beginning from a cache. No I/O.

What is written costs a quarter more than ordinary input, what is read a tenth of it, and it is gone
five minutes after its last use. So two things are marked: what every request of an agent begins
with (tools, instructions), and a conversation that goes on. Whether that pays is measured.

Invariant: at most four marks, which is what the API takes.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from agent_runtime.providers import tokens
from agent_runtime.providers.base import Json

# From platform.claude.com/docs/en/build-with-claude/prompt-caching, as of 2026-11; shorter prompts
# are not cached. The first beginning of a model's name that fits counts.
LEAST_TOKENS = (
    ("claude-opus-4-5", 4096),
    ("claude-opus-4-6", 4096),
    ("claude-opus-4-7", 2048),
    ("claude-haiku-4-5", 4096),
    ("claude-3-5-haiku", 2048),
    ("claude-3-haiku", 2048),
    ("claude-opus-4", 1024),
    ("claude-sonnet-4", 1024),
    ("claude-3", 1024),
)
LEAST_OF_ALL = 512
"""Of newer models; and of those that we do not know, since a mark that is too early is ignored."""
_IMAGE_TOKENS = 1_000  # a picture of ordinary size
_UNDERESTIMATED = 1.5  # code and JSON have more tokens than a quarter of their bytes

_WRITTEN, _READ = 0.25, 0.9  # of the price of ordinary input: what is lost, what is saved
LOSS_TOKENS = 25_000.0
"""So much may be lost, in tokens of ordinary input: 100,000 were written and never read. At 3 USD
per million tokens that is 0.08 USD."""
PAUSE_S = 600.0


def least_tokens(model: str) -> int:
    """Return how long a prompt of a model has to be to be cached."""
    fits = (least for name, least in LEAST_TOKENS if model.startswith(name))
    return next(fits, LEAST_OF_ALL)


def mark(body: Json, least: int) -> None:
    """Mark the blocks of a request of our own making up to which it is worth being remembered."""
    enough = least / _UNDERESTIMATED
    length = 0
    wanted = {id(block) for block in _ends(body)}
    for block in _blocks(body):
        length += _tokens(block)
        if id(block) in wanted and length >= enough:
            block["cache_control"] = {"type": "ephemeral"}


def _ends(body: Json) -> Iterator[Json]:
    """Yield the last blocks of what will be sent again."""
    system = body.get("system") or body.get("tools")
    if system:
        # what comes after the agent's own instructions may differ from caller to caller
        yield from (system[0], system[-1]) if "system" in body else (system[-1],)
    turns = body["messages"]
    if any(turn["role"] == "assistant" for turn in turns):  # it goes on, and will again
        asked = [turn for turn in turns if turn["role"] == "user"]
        # Where the last request ended as well: the API looks back only 20 blocks from a mark.
        yield from (turn["content"][-1] for turn in asked[-2:])


def _blocks(body: Json) -> Iterator[Json]:
    """Yield all blocks in the order in which they are cached."""
    yield from body.get("tools") or ()
    yield from body.get("system") or ()
    for turn in body["messages"]:
        yield from turn["content"]


def _tokens(block: Json) -> int:
    match block.get("type"):
        case "text":
            return tokens.rough(block["text"])
        case "image":
            return _IMAGE_TOKENS
        case _:
            return len(orjson.dumps(block)) // 4


class Payback:
    """Whether marks pay for one model of one account: they cost at most `LOSS_TOKENS` in vain.

    What was lost too much is not tried again for a while, and then with half of the credit.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._balance = 0.0
        self._until = 0.0

    @property
    def pays(self) -> bool:
        """Whether to mark the next prompt."""
        return self._clock() >= self._until

    def saw(self, usage: Json | None) -> None:
        """Learn from the usage of an answer, in OpenAI's shape."""
        details: Any = (usage or {}).get("prompt_tokens_details")
        if not isinstance(details, dict):
            return
        read, written = details.get("cached_tokens", 0), details.get("cache_write_tokens", 0)
        balance = self._balance + _READ * read - _WRITTEN * written
        self._balance = min(balance, LOSS_TOKENS)  # what was good once is no licence for ever
        if self._balance < -LOSS_TOKENS:
            self._until = self._clock() + PAUSE_S
            self._balance = -LOSS_TOKENS / 2
