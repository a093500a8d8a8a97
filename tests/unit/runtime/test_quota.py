"""A sliding minute and a day of UTC: who is admitted, who is refused, and what both are told."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from agent_runtime.app import quota
from agent_runtime.app.admission import Admission
from agent_runtime.app.asgi import Message, Reply, Request
from agent_runtime.app.contract_guard import LimitsEntry
from agent_runtime.app.errors import ApiError
from agent_runtime.app.quota import Quota
from agent_runtime.guard.principal import ANONYMOUS, Principal, Priority, Role
from agent_runtime.guard.quota.rates import Admitted, Rate, Refused, Scope, Span, Subject
from agent_runtime.guard.quota.refusals import REMEMBER_S, Refusals
from agent_runtime.guard.quota.window import Alone
from agent_runtime.observability.metrics import Metrics

NOON = 1_800_014_400.0  # a midday in UTC; twelve hours before midnight
HALF_A_DAY = 43_200.0


class Time:
    """Both clocks."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def alone(time: Time, **options: int) -> Alone:
    return Alone(clock=time, utc=time, **options)


def key(name: str = "ann", *, minute: int = 0, day: int = 0) -> Subject:
    return Subject(Scope.KEY, name, Rate(minute, day))


def tenant(*, minute: int = 0, day: int = 0) -> Subject:
    return Subject(Scope.TENANT, "acme", Rate(minute, day))


def test_a_minute_s_worth_is_admitted_and_falls_free_a_minute_later() -> None:
    time = Time()
    counter, ann = alone(time), (key(minute=2),)
    assert counter.judge(ann) == Admitted(2, 1, 61.0)
    time.now += 10.5
    assert counter.judge(ann) == Admitted(2, 0, 60.5)
    assert counter.judge(ann) == Refused(Scope.KEY, Span.MINUTE, 2, 50.5, 60.5)
    time.now = NOON + 60.999
    assert isinstance(counter.judge(ann), Refused)
    time.now = NOON + 61.0
    assert counter.judge(ann) == Admitted(2, 0, 61.0)


def test_a_day_ends_at_midnight_of_utc() -> None:
    time = Time()
    counter, ann = alone(time), (key(day=1),)
    assert counter.judge(ann) == Admitted(1, 0, HALF_A_DAY)
    time.now += HALF_A_DAY - 1
    assert counter.judge(ann) == Refused(Scope.KEY, Span.DAY, 1, 1.0, 1.0)
    time.now += 1
    assert counter.judge(ann) == Admitted(1, 0, 86_400.0)


def test_a_request_is_counted_for_all_or_for_none() -> None:
    counter = alone(Time())
    both = (key(minute=5), tenant(minute=1))
    assert counter.judge(both) == Admitted(1, 0, 61.0)
    for _ in range(10):
        assert counter.judge(both) == Refused(Scope.TENANT, Span.MINUTE, 1, 61.0, 61.0)
    assert counter.judge((key(minute=5),)) == Admitted(5, 3, 61.0)


def test_of_several_limits_the_longest_wait_and_the_least_that_is_left_are_told() -> None:
    counter = alone(Time())
    ann = (key(minute=3, day=2),)
    assert counter.judge(ann) == Admitted(2, 1, HALF_A_DAY)
    counter.note(ann)
    counter.note(ann)
    assert counter.judge(ann) == Refused(Scope.KEY, Span.DAY, 2, HALF_A_DAY, HALF_A_DAY)


def test_callers_are_counted_apart() -> None:
    counter = alone(Time())
    assert counter.judge((key("ann", minute=1),)) == Admitted(1, 0, 61.0)
    assert counter.judge((key("bob", minute=1),)) == Admitted(1, 0, 61.0)


def test_of_too_many_callers_the_one_that_was_silent_the_longest_is_forgotten() -> None:
    counter = alone(Time(), most=2)
    for name in ("ann", "bob", "ann", "eve"):
        counter.judge((key(name, minute=2),))
    assert isinstance(counter.judge((key("ann", minute=2),)), Refused)
    assert counter.judge((key("bob", minute=2),)) == Admitted(2, 1, 61.0)


def test_what_was_refused_is_remembered_for_a_moment_with_what_is_left_of_the_wait() -> None:
    time = Time()
    refusals = Refusals(clock=time)
    both, refused = (key(), tenant()), Refused(Scope.TENANT, Span.MINUTE, 1, 30.0, 40.0)
    assert refusals.find(both) is None
    refusals.keep(both, refused)
    assert refusals.find((key(),)) is None  # it was not the key's limit
    time.now += 0.5
    assert refusals.find(both) == Refused(Scope.TENANT, Span.MINUTE, 1, 29.5, 39.5)
    time.now += REMEMBER_S
    assert refusals.find(both) is None


def test_a_refusal_is_not_held_longer_than_it_lasts() -> None:
    time = Time()
    refusals = Refusals(clock=time)
    refusals.keep((key(),), Refused(Scope.KEY, Span.MINUTE, 1, 0.25, 60.0))
    time.now += 0.25
    assert refusals.find((key(),)) is None


class Door:
    """The stage, and what is sent through it."""

    def __init__(self, **limits: Any) -> None:
        self.metrics = Metrics()
        entry = LimitsEntry.model_validate(limits)
        counter = alone(Time())
        self.quota = Quota(quota.rates_of(entry), counter, Admission(), self.metrics.guard)

    async def send(
        self, who: Principal = ANONYMOUS, *, agent: str = "front", method: str = "POST",
        vouched: bool = False,
    ) -> tuple[ApiError | None, dict[str, str]]:  # fmt: skip
        """Return the error, and the headers that every answer would have."""
        request = Request({"method": method, "path": "/", "headers": []}, _nothing)
        request.principal, request.is_vouched_for = who, vouched
        reply = Reply(_nowhere, close=False)
        error: ApiError | None = None
        try:
            await self.quota.admit(request, reply)
            if request.when_agent_known is not None:
                await request.when_agent_known(agent)
        except ApiError as exc:
            error = exc
        return error, {name.decode(): value.decode() for name, value in reply.limited}

    def refusals(self, scope: str, limit: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "agent_limit_refusals_total", {"scope": scope, "limit": limit}
        )


async def _nothing() -> Message:
    raise AssertionError("nobody reads a body here")


async def _nowhere(_message: Message) -> None:
    raise AssertionError("nobody answers here")


def caller(id_: str, of: str = "") -> Principal:
    return Principal(id_, of, frozenset({Role.CHAT}), Priority.NORMAL)


ANN, BOB, EVE = caller("ann", "acme"), caller("bob", "acme"), caller("eve")


@pytest.fixture
def minute() -> Door:
    return Door(perKey={"requestsPerMinute": 2})


async def test_who_is_admitted_is_told_what_is_left(minute: Door) -> None:
    error, headers = await minute.send(ANN)
    assert error is None
    assert headers["x-ratelimit-limit-requests"] == "2"
    assert headers["x-ratelimit-remaining-requests"] == "1"
    assert headers["x-ratelimit-reset-requests"] == "1m1s"


async def test_who_is_refused_is_told_which_limit_and_when_to_come_again(minute: Door) -> None:
    await minute.send(ANN)
    await minute.send(ANN)
    error, headers = await minute.send(ANN)
    assert error is not None
    assert (error.status, error.code) == (429, "rate_limit_exceeded")
    assert error.message == (
        "Rate limit reached: your key has 2 requests per minute. Try again in 60 s."
    )
    assert error.headers == {"retry-after": "60"}
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert minute.refusals("key", "requests_per_minute") == 1
    assert (await minute.send(BOB))[0] is None


async def test_a_used_up_quota_is_not_retried_by_itself() -> None:
    door = Door(perTenant={"requestsPerDay": 1})
    await door.send(ANN)
    error, headers = await door.send(BOB)  # of the same tenant
    assert error is not None
    assert (error.status, error.code) == (429, "insufficient_quota")
    assert error.message.startswith("Quota exhausted: your tenant has 1 requests per day.")
    assert error.headers["x-should-retry"] == "false"
    assert error.headers["retry-after"] == "43200"
    assert headers["x-ratelimit-limit-requests"] == "1"
    assert door.refusals("tenant", "requests_per_day") == 1


async def test_a_caller_without_a_tenant_is_one_of_its_own() -> None:
    door = Door(perTenant={"requestsPerMinute": 1})
    outcomes = [(await door.send(who))[0] for who in (EVE, caller("joe"), ANN, EVE, BOB)]
    assert [error is None for error in outcomes] == [True, True, True, False, False]


async def test_an_agent_s_limit_is_one_for_everybody_and_counts_with_the_others() -> None:
    door = Door(perKey={"requestsPerMinute": 2}, perAgent={"requestsPerMinute": 1})
    assert (await door.send(ANN, agent="front"))[0] is None
    error, _ = await door.send(BOB, agent="front")
    assert error is not None
    assert "this agent has 1 requests per minute" in error.message
    # what the agent refused was not counted for the key
    for agent in ("research", "writer"):
        assert (await door.send(BOB, agent=agent))[0] is None
    error, _ = await door.send(BOB, agent="editor")
    assert error is not None
    assert "your key has 2 requests per minute" in error.message


async def test_a_flood_is_refused_before_its_agent_is_known() -> None:
    door = Door(perKey={"requestsPerMinute": 1}, perAgent={"requestsPerMinute": 9})
    await door.send(ANN)
    await door.send(ANN)
    request = Request({"method": "POST", "path": "/", "headers": []}, _nothing)
    request.principal = ANN
    with pytest.raises(ApiError, match="your key has 1"):
        await door.quota.admit(request, Reply(_nowhere, close=False))
    assert request.when_agent_known is None


async def test_what_a_sibling_let_in_is_not_counted_and_nor_is_a_look_at_the_models(
    minute: Door,
) -> None:
    for vouched, method in itertools.product((True, False), ("POST", "GET")):
        if vouched or method == "GET":
            for _ in range(5):
                assert await minute.send(ANN, vouched=vouched, method=method) == (None, {})


def test_without_limits_there_is_no_stage() -> None:
    entry = LimitsEntry.model_validate({"concurrentRequests": 5})
    metrics = Metrics().guard
    assert quota.of(entry, None, Admission(), metrics, system=("shop", "support")) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (60, "1m0s"), (3661, "1h1m1s")]
)
def test_a_duration_is_written_as_openai_writes_it(seconds: int, text: str) -> None:
    assert quota._duration(seconds) == text
