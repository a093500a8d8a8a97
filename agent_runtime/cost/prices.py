"""What a token costs: `prices.json`, each row with its date and source.

A model that it does not know has no price, which is not the price 0.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources

import orjson

from agent_runtime.cost import money
from agent_runtime.providers.base import Json

_PICO_PER_TOKEN = 10**6
"""1 USD per million tokens is 10**6 pico-USD per token: six digits behind the point stay exact."""
_SNAPSHOT = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2}|latest)")


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens by what they cost; the four kinds do not overlap."""

    input: int = 0
    output: int = 0
    cache_write: int = 0
    cache_read: int = 0


@dataclass(frozen=True, slots=True)
class Price:
    """Pico-USD per token of each kind."""

    input: int
    output: int
    cache_write: int
    cache_read: int

    def nano(self, counts: Counts) -> int:
        """Return what tokens cost, rounded up to a whole nano-USD.

        cost = (input * p_in + output * p_out + written * p_write + read * p_read) / 1000.
        1,000 input at 0.15 USD and 500 output at 0.60 USD per million: 450,000 nano-USD.
        """
        pico = (
            counts.input * self.input
            + counts.output * self.output
            + counts.cache_write * self.cache_write
            + counts.cache_read * self.cache_read
        )
        return -(-pico // 1000)

    def most_nano(self, counts: Counts) -> int:
        """Return what tokens cost if each of the prompt is of the dearest kind."""
        dearest = max(self.input, self.cache_write, self.cache_read)
        return replace(self, input=dearest).nano(counts)


FREE = Price(0, 0, 0, 0)
"""Of scripted answers."""


def price(*, input: str, output: str, cache_write: str | None, cache_read: str | None) -> Price:  # noqa: A002  # the word of the table
    """Return a price from USD per million tokens; cache prices are by default that of input."""

    def pico(text: str | None) -> int:
        return money.scaled(input if text is None else text, _PICO_PER_TOKEN)

    return Price(
        pico(input), money.scaled(output, _PICO_PER_TOKEN), pico(cache_write), pico(cache_read)
    )


def counts_of(usage: Json) -> Counts:
    """Return the tokens of a usage object in OpenAI's shape, which both protocols are read into.

    `prompt_tokens` includes what was read from the prompt cache or written to it; the details say
    how much. What is no count there counts as none.
    """
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    read, written = _count(details, "cached_tokens"), _count(details, "cache_write_tokens")
    plain = max(_count(usage, "prompt_tokens") - read - written, 0)
    return Counts(plain, _count(usage, "completion_tokens"), written, read)


def _count(holder: Json, key: str) -> int:
    value = holder.get(key)
    return value if type(value) is int and value > 0 else 0


class PriceTable:
    """Prices by model; what a system pays itself comes first, and is by provider and model."""

    def __init__(
        self,
        rows: Mapping[str, Price],
        own: Mapping[tuple[str, str], Price] | None = None,
    ) -> None:
        self._rows = rows
        self._own = own or {}

    def of(self, model: str, provider: str = "") -> Price | None:
        """Return a model's price; a dated snapshot without a row has that of its family."""
        family = _SNAPSHOT.sub("", model)
        for name in (model, family):
            if (own := self._own.get((provider, name))) is not None:
                return own
        return self._rows.get(model) or self._rows.get(family)


def _of_row(row: Mapping[str, str]) -> Price:
    return price(
        input=row["input"],
        output=row["output"],
        cache_write=row["cacheWrite"],
        cache_read=row["cacheRead"],
    )


def _read() -> Mapping[str, Price]:
    document = orjson.loads(resources.files(__package__).joinpath("prices.json").read_bytes())
    return {row["model"]: _of_row(row) for row in document["rows"]}


_SHIPPED = _read()
"""Read with the module: later an event loop would have to wait for the file."""


def table(own: Mapping[tuple[str, str], Price] | None = None) -> PriceTable:
    """Return the shipped prices, and a system's own before them."""
    return PriceTable(_SHIPPED, own)
