"""Anthropic's prompt cache, simulated: prefixes up to a `cache_control` mark are remembered.

A prompt is a row of blocks (tools, system, messages). The longest remembered prefix is read from
the cache, what follows it up to the last mark is written, the rest is ordinary input. No clock:
whoever asks brings the time.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from agent_runtime.simulator.faults import PromptCache

MAX_PREFIXES = 100_000


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of a prompt: its bytes, its tokens, and whether a mark is on it."""

    content: bytes
    tokens: int
    marked: bool


@dataclass(frozen=True, slots=True)
class Use:
    """How a prompt's tokens are billed; `prefixes` are what a good answer leaves in the cache."""

    read: int
    written: int
    plain: int
    prefixes: tuple[bytes, ...] = ()


class Prefixes:
    """The prefixes that are remembered, each until nobody has used it for the time to live."""

    def __init__(self, settings: PromptCache) -> None:
        self._settings = settings
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def look(self, owner: str, blocks: Sequence[Block], now: float) -> Use:
        """Return how the prompt of `owner` (a key and a model) is billed; remember nothing."""
        total = sum(block.tokens for block in blocks)
        if not any(block.marked for block in blocks):
            return Use(0, 0, total)
        digest = hashlib.sha256(owner.encode())
        length = read = marked = 0
        prefixes = []
        for block in blocks:
            digest.update(len(block.content).to_bytes(8) + block.content)
            length += block.tokens
            prefix = digest.digest()
            if self._until.get(prefix, 0.0) > now:
                read = length
                prefixes.append(prefix)  # reading it keeps it alive
            if block.marked and length >= self._settings.min_tokens:
                marked = length
                prefixes.append(prefix)
        # what was remembered behind the last mark is not looked at
        read = min(read, marked)
        return Use(read, marked - read, total - marked, tuple(prefixes) if marked else ())

    def keep(self, use: Use, now: float) -> None:
        """Remember what an answered prompt leaves."""
        for prefix in use.prefixes:
            self._until[prefix] = now + self._settings.ttl_seconds
            self._until.move_to_end(prefix)
        while len(self._until) > MAX_PREFIXES:
            self._until.popitem(last=False)
