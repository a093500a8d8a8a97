"""A provider's model with a meter: each of its answers is charged, and exactly once.

Stands right around one model of a chain, since only there is the price known. The charge comes
before the last piece of the answer is handed out.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from agent_runtime.agents.reply import ReplyBuilder
from agent_runtime.cost import bounds, prices
from agent_runtime.cost.accounts import Accounts, Payee
from agent_runtime.cost.estimate import Estimator
from agent_runtime.cost.keeper import Hold, Keeper
from agent_runtime.cost.prices import FREE, Counts, Price
from agent_runtime.providers.base import (
    Answer,
    Chunk,
    Json,
    Prompt,
    Provider,
    ProviderError,
    Texts,
    Vectors,
)
from agent_runtime.providers.failures import CONDUCT


@dataclass(frozen=True, slots=True)
class Rate:
    """Whose answers are charged, and at what price; None: it is not known."""

    payee: Payee
    price: Price | None

    def charge(
        self, accounts: Accounts, asked: Prompt | Texts, counts: Counts, *, estimated: bool
    ) -> int:
        """Charge what was counted to whoever asked; return what it cost, 0 if that is not known."""
        if self.price is None:
            accounts.without_price(asked.receipt, self.payee)
            return 0
        nano = self.price.nano(counts)
        accounts.charge(asked.receipt, asked.agent, self.payee, nano, estimated=estimated)
        return nano


class Metered:
    """Wraps a provider."""

    def __init__(
        self, rate: Rate, inner: Provider, accounts: Accounts, keeper: Keeper | None = None
    ) -> None:
        """`keeper`: nothing is asked that the budget has no room for."""
        self._rate = rate
        self._inner = inner
        self._accounts = accounts
        self._keeper = None if rate.price == FREE else keeper
        self._estimator = Estimator()

    async def complete(self, prompt: Prompt) -> Answer:
        """Return the inner provider's answer, charged."""
        bill = await self._open(prompt)
        try:
            answer = await self._inner.complete(bill.prompt)
        except ProviderError as exc:
            bill.failed(exc, None)
            raise
        except BaseException:  # cancelled: the model may have answered
            bill.abandoned(None)
            raise
        else:
            bill.answered(answer.message, None if answer.estimated else answer.usage)
            return answer
        finally:
            bill.close()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield the inner provider's chunks; the last one when the answer is charged."""
        bill = await self._open(prompt)
        reply = ReplyBuilder()
        charged = False
        try:
            async with aclosing(self._inner.stream(bill.prompt)) as chunks:
                async for chunk in chunks:
                    reply.add(chunk.delta)
                    if chunk.finish_reason is not None:
                        charged = True
                        bill.answered(reply.message(), chunk.usage)
                    yield chunk
        except ProviderError as exc:
            if not charged:
                bill.failed(exc, reply.message())
            raise
        except BaseException:  # cancelled, or given up by the client
            if not charged:
                bill.abandoned(reply.message())
            raise
        finally:
            bill.close()

    async def embed(self, texts: Texts) -> Vectors:
        """Return the inner provider's vectors, charged; what failed costs nothing."""
        hold = None
        if self._keeper is not None:
            hold = await self._reserved(self._keeper, bounds.of_texts(texts))
        nano = 0
        try:
            found = await self._inner.embed(texts)
            counts = prices.counts_of(found.usage)
            nano = self._rate.charge(self._accounts, texts, counts, estimated=False)
        finally:
            if hold is not None:
                hold.settle(nano)
        return found

    async def _open(self, prompt: Prompt) -> "_Bill":
        hold = None
        if self._keeper is not None:
            options, most = bounds.of(prompt, self._rate.payee.model)
            hold = await self._reserved(self._keeper, most)
            prompt = replace(prompt, options=options)
        return _Bill(self._rate, prompt, self._accounts, self._estimator, hold)

    async def _reserved(self, keeper: Keeper, most: Counts) -> Hold:
        """Reserve what a call can cost, or raise why it may not be made."""
        payee, price = self._rate.payee, self._rate.price
        if price is None:
            raise keeper.unpriced(payee)
        return await keeper.reserve(payee, price.most_nano(most))


class _Bill:
    """What one call of a provider will be charged; exactly one of its three ends comes."""

    def __init__(
        self,
        rate: Rate,
        prompt: Prompt,
        accounts: Accounts,
        estimator: Estimator,
        hold: Hold | None,
    ) -> None:
        """`hold`: what was reserved for it."""
        self.prompt = prompt
        self._hold = hold
        self._rate = rate
        self._accounts = accounts
        self._estimator = estimator

    def answered(self, message: Json, usage: Json | None) -> None:
        """Charge a whole answer."""
        told = usage if usage and prices.counts_of(usage) != Counts() else None
        counts = prices.counts_of(told) if told else self._estimate(message, None)
        if told and self._estimator.wants_comparison:
            self._compare(message, told)
        self._charge(counts, estimated=told is None)

    def failed(self, failure: ProviderError, message: Json | None) -> None:
        """Charge what a failure may have cost, or nothing, by the table of failures."""
        if CONDUCT[failure.error_class].charge:
            self._charge(self._estimate(message, failure.usage), estimated=True)

    def abandoned(self, message: Json | None) -> None:
        """Charge what was given until nobody wanted more: the provider bills it too."""
        self._charge(self._estimate(message, None), estimated=True)

    def _estimate(self, message: Json | None, told: Json | None) -> Counts:
        """Return our own count; where the provider told its figure early, that one."""
        known = prices.counts_of(told) if told else Counts()
        said = self._estimator.answer(message) if message else 0
        output = max(said, known.output)
        if known.input or known.cache_read or known.cache_write:
            return replace(known, output=output)
        return Counts(self._estimator.prompt(self.prompt.messages, self.prompt.options), output)

    def _compare(self, message: Json, told: Json) -> None:
        details = told.get("completion_tokens_details")
        thought = details.get("reasoning_tokens") if isinstance(details, dict) else 0
        counts = prices.counts_of(told)
        self._estimator.learn(
            self.prompt.messages,
            self.prompt.options,
            message,
            prompt=counts.input + counts.cache_read + counts.cache_write,
            output=counts.output - (thought if isinstance(thought, int) else 0),
        )

    def _charge(self, counts: Counts, *, estimated: bool) -> None:
        nano = self._rate.charge(self._accounts, self.prompt, counts, estimated=estimated)
        if self._hold is not None:
            self._hold.settle(nano)

    def close(self) -> None:
        """Give back what was reserved and nothing was charged of."""
        if self._hold is not None:
            self._hold.settle(0)
