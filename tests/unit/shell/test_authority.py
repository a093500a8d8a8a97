"""Who keeps the channel's authority: one leader, one Secret, hardly a request."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest

from agentsystem_operator import ports
from agentsystem_operator.adapters.channel import authority as mint
from agentsystem_operator.adapters.channel.authority import Authority
from agentsystem_operator.decide import authority as rules
from agentsystem_operator.shell.authority import CERTIFICATES, KEYS, AuthorityKeeper
from tests.fakes.clock import FakeClock
from tests.fakes.secret import FakeSecret
from tests.fakes.virtual_time import settle, virtual

DAY_S = 86_400.0


class Role:
    """Whether we lead."""

    def __init__(self, *, leads: bool) -> None:
        self.leading = asyncio.Event()
        if leads:
            self.leading.set()

    @property
    def may_write(self) -> bool:
        return self.leading.is_set()

    def check(self) -> None:
        if not self.may_write:
            raise ports.NotLeading("not ours")


class Mint:
    """Real certificates, counted; contexts without the file, which virtual time cannot await."""

    def __init__(self) -> None:
        self.signed: list[tuple[str, datetime]] = []

    def make(self, now: datetime) -> Authority:
        return mint.make(now)

    def read(self, certificates: str, keys: str) -> tuple[Authority, ...]:
        return mint.read(certificates, keys)

    def server_context(
        self, signer: Authority, names: Sequence[str], now: datetime
    ) -> tuple[ssl.SSLContext, datetime]:
        assert list(names) == ["channel.svc"]
        self.signed.append((signer.certificate_pem, now))
        return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), now + rules.CERTIFICATE_LIFE


class Process:
    """One replica's keeper."""

    def __init__(self, secret: FakeSecret, *, leads: bool) -> None:
        self.role = Role(leads=leads)
        self.mint = Mint()
        self.changes = 0
        self.keeper: AuthorityKeeper[Authority] = AuthorityKeeper(
            secret,
            self.mint,
            self.role,
            clock=FakeClock(),
            names=["channel.svc"],
            changed=self._changed,
        )

    def _changed(self) -> None:
        self.changes += 1


@contextmanager
def running(*processes: Process) -> Iterator[None]:
    tasks = [asyncio.create_task(process.keeper.run()) for process in processes]
    yield
    for task in tasks:
        task.cancel()


async def until(process: Process, *, signed: int) -> None:
    """Let threads, which virtual time does not know, do their work."""
    for _ in range(2_000):
        if len(process.mint.signed) >= signed and process.keeper.context:
            return
        await asyncio.sleep(0.001)
    raise AssertionError("nothing was signed")


@virtual
async def test_a_leader_fills_the_empty_secret_and_then_asks_for_nothing() -> None:
    secret = FakeSecret()
    leader = Process(secret, leads=True)
    with running(leader):
        await until(leader, signed=1)
        assert secret.calls == ["read", "write"]
        assert secret.texts is not None
        assert leader.keeper.bundle == secret.texts[CERTIFICATES]
        assert "PRIVATE KEY" in secret.texts[KEYS]
        assert "PRIVATE" not in leader.keeper.bundle
        await asyncio.sleep(0.9 * DAY_S)

        assert secret.calls == ["read", "write"]
        assert leader.changes == 1


@virtual
async def test_a_follower_writes_nothing_and_shows_a_certificate_of_the_same_authority() -> None:
    secret = FakeSecret()
    leader, follower = Process(secret, leads=True), Process(secret, leads=False)
    with running(leader):
        await until(leader, signed=1)
        with running(follower):
            await until(follower, signed=1)

            assert follower.keeper.bundle == leader.keeper.bundle
            assert secret.calls.count("write") == 1


@virtual
async def test_a_follower_of_nobody_waits_and_fills_the_secret_once_it_leads() -> None:
    secret = FakeSecret()
    process = Process(secret, leads=False)
    with running(process):
        await settle()
        assert process.keeper.context is None
        assert "write" not in secret.calls
        process.role.leading.set()
        await until(process, signed=1)

        assert secret.calls[-1] == "write"


@virtual
async def test_a_secret_that_was_not_installed_is_no_reason_to_ask_all_the_time() -> None:
    secret = FakeSecret()
    secret.texts = None
    process = Process(secret, leads=True)
    with running(process):
        await asyncio.sleep(3600)
        assert len(secret.calls) <= 25
        assert process.keeper.bundle == ""
        secret.texts = {}
        await asyncio.sleep(300)
        await until(process, signed=1)


@virtual
async def test_waiting_for_the_leader_is_no_warning_and_a_missing_secret_is_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    secret = FakeSecret()
    follower = Process(secret, leads=False)
    with running(follower):
        await asyncio.sleep(60)
        secret.texts = None
        await asyncio.sleep(3_600)

    said = [(each.levelname, each.message) for each in caplog.records if each.module == "authority"]
    assert said == [
        ("INFO", "the channel waits for the leader to make its authority"),
        ("WARNING", "the channel's authority cannot be used"),
    ]


@virtual
async def test_of_two_writers_the_second_takes_what_the_first_wrote() -> None:
    secret, now = FakeSecret(), FakeClock().now()
    other = mint.make(now)
    secret.rival = {CERTIFICATES: other.certificate_pem, KEYS: other.key_pem}
    process = Process(secret, leads=True)
    with running(process):
        await until(process, signed=1)

        assert process.keeper.bundle == other.certificate_pem
        assert secret.calls == ["read", "write", "read"]


@virtual
async def test_what_is_no_authority_in_the_secret_is_replaced() -> None:
    secret = FakeSecret()
    secret.texts = {CERTIFICATES: "-----BEGIN nonsense", KEYS: "?"}
    process = Process(secret, leads=True)
    with running(process):
        await until(process, signed=1)
        assert secret.texts[CERTIFICATES] == process.keeper.bundle


@virtual
async def test_an_old_authority_is_succeeded_with_both_in_the_bundle() -> None:
    secret, now = FakeSecret(), FakeClock().now()
    old = mint.make(now - rules.REPLACED_AFTER - timedelta(seconds=1))
    secret.texts = {CERTIFICATES: old.certificate_pem, KEYS: old.key_pem}
    process = Process(secret, leads=True)
    with running(process):
        await until(process, signed=1)

        assert process.mint.signed[0][0] == old.certificate_pem
        assert process.keeper.bundle.startswith(old.certificate_pem)
        assert process.keeper.bundle.count("BEGIN CERTIFICATE") == 2
        assert secret.texts[CERTIFICATES] == process.keeper.bundle
