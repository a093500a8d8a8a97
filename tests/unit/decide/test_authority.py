"""The channel's authority is replaced so that no pod ever meets a certificate it cannot verify."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agentsystem_operator.decide import authority
from agentsystem_operator.decide.authority import (
    CERTIFICATE_LIFE,
    CERTIFICATE_RENEWED_AFTER,
    LIFE,
    SPREADS,
    Generation,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
BUNDLE_DELAY = timedelta(hours=1)


def born(at: datetime) -> Generation:
    return Generation(at, at + LIFE)


def test_the_first_generation_is_made_and_signs_at_once() -> None:
    assert authority.decide([], START).make
    plan = authority.decide([born(START)], START)

    assert (plan.signer, plan.trusted, plan.make) == (0, (0,), False)


def test_a_successor_is_trusted_before_it_signs() -> None:
    old, new = born(START), born(START + authority.REPLACED_AFTER)
    plan = authority.decide([old, new], new.born)

    assert (plan.signer, plan.trusted, plan.make) == (0, (0, 1), False)
    assert plan.look_again == new.born + SPREADS


def test_a_successor_takes_over_and_the_old_one_stays_for_a_certificates_life() -> None:
    old, new = born(START), born(START + authority.REPLACED_AFTER)
    takes_over = new.born + SPREADS

    assert authority.decide([old, new], takes_over).signer == 1
    assert authority.decide([old, new], takes_over + CERTIFICATE_LIFE - DAY).trusted == (0, 1)
    assert authority.decide([old, new], takes_over + CERTIFICATE_LIFE).trusted == (1,)


def test_what_has_expired_is_neither_trusted_nor_signs() -> None:
    plan = authority.decide([born(START)], START + LIFE)

    assert (plan.signer, plan.trusted, plan.make) == (None, (), True)


def test_the_order_in_the_secret_does_not_matter() -> None:
    old, new = born(START), born(START + authority.REPLACED_AFTER)
    now = new.born + SPREADS

    assert authority.decide([new, old], now).signer == 0
    assert authority.decide([new, old], now).trusted == (1, 0)


def test_over_ten_years_every_certificate_in_use_is_in_every_bundle_of_an_hour_ago() -> None:
    """Replicas renew when they please within the rules; pods have bundles of up to an hour ago."""
    made: list[Generation] = []
    bundles: list[tuple[datetime, set[datetime]]] = []
    certificates: dict[str, tuple[datetime, datetime, datetime]] = {}
    looks = {"eager": CERTIFICATE_RENEWED_AFTER, "late": CERTIFICATE_LIFE - DAY}
    now = START
    while now < START + 3650 * DAY:
        plan = authority.decide(made, now)
        made = [made[i] for i in plan.trusted]
        if plan.make:
            made.append(born(now))
        plan = authority.decide(made, now)
        assert plan.signer is not None
        assert len(made) <= 2
        bundles.append((now, {made[i].born for i in plan.trusted}))
        for replica, renewed_after in looks.items():
            issued = certificates.get(replica)
            if issued is None or now >= issued[0] + renewed_after:
                certificates[replica] = (now, now + CERTIFICATE_LIFE, made[plan.signer].born)
        an_hour_ago = [bundle for at, bundle in bundles if at <= now - BUNDLE_DELAY]
        for issued_at, ends, signer in certificates.values():
            assert now < ends
            assert signer in bundles[-1][1]
            if an_hour_ago and issued_at > START:
                assert signer in an_hour_ago[-1]
        del bundles[:-30]
        now += timedelta(hours=6)


def test_a_look_is_due_whenever_the_answer_changes_by_itself() -> None:
    old, new = born(START), born(START + authority.REPLACED_AFTER)
    now, plans = START, []
    generations = [old]
    while now < START + LIFE - 2 * CERTIFICATE_LIFE:
        plan = authority.decide(generations, now)
        assert plan.look_again > now
        if plan.make:
            generations.append(new)
            plan = authority.decide(generations, now)
        plans.append((plan.signer, plan.trusted))
        now = plan.look_again
    assert plans[-1] == (1, (1,))
