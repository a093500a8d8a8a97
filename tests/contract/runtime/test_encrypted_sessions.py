"""Encrypted sessions: no store holds readable text, keys rotate, without a key nothing is kept."""

import asyncio
import logging
import os
from pathlib import Path

import aiohttp
import pytest
from blockbuster import blockbuster_ctx
from cryptography.fernet import Fernet

from agent_runtime.memory.base import KeyMissing, Retention
from agent_runtime.memory.encrypted import EncryptedSessions, KeyRing
from agent_runtime.memory.in_process import MemoryStore
from agent_runtime.secret_files import SecretFile
from tests.contract.runtime.serving import Served, config, serving

TURN = b'[{"role":"user","content":"sesame"}]'
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
ORIGIN = "Secret 'session-keys', key 'fernet'"


class FakeTime:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Keys:
    """A file of keys, and a ring that has looked at it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "keys"
        self.missing: list[bool] = []
        self._clock = FakeTime()
        place = SecretFile(self.file, ORIGIN)
        self.ring = KeyRing(place, missing=self.missing.append, clock=self._clock)

    def write(self, *lines: str) -> None:
        self.file.write_text("\n".join(lines) + "\n")
        self._clock.now += 1.0


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture
def below() -> MemoryStore:
    return MemoryStore(Retention(60, 10))


async def test_what_is_stored_cannot_be_read_and_comes_back_as_it_was(
    keys: Keys, below: MemoryStore
) -> None:
    keys.write(OLD)
    store = EncryptedSessions(below, keys.ring)
    with blockbuster_ctx():
        for turn in (TURN, TURN * 5000):  # also one that is sealed beside the event loop
            await store.append("a", turn)
        assert await store.load("a") == [TURN, TURN * 5000]
    assert not any(b"sesame" in stored for stored in await below.load("a"))
    assert await store.count() == 1


async def test_a_new_key_seals_and_the_former_still_opens(keys: Keys, below: MemoryStore) -> None:
    store = EncryptedSessions(below, keys.ring)
    keys.write(OLD)
    await store.append("a", TURN)
    keys.write(NEW, OLD)
    await store.append("a", TURN)
    assert await store.load("a") == [TURN, TURN]
    newest = (await below.load("a"))[-1]
    assert Fernet(NEW).decrypt(newest) == TURN


async def test_a_session_that_no_key_opens_is_refused_not_forgotten(
    keys: Keys, below: MemoryStore
) -> None:
    store = EncryptedSessions(below, keys.ring)
    keys.write(OLD)
    await store.append("a", TURN)
    keys.write(NEW)
    with pytest.raises(KeyMissing, match="no key opens this session"):
        await store.load("a")
    keys.write(NEW, OLD)
    assert await store.load("a") == [TURN]


@pytest.mark.parametrize(
    "lines",
    [(), ("no key",), (OLD, "no key"), tuple(Fernet.generate_key().decode() for _ in range(11))],
    ids=["empty", "no key", "half a change", "too many"],
)
async def test_without_a_usable_key_nothing_is_stored(
    keys: Keys, below: MemoryStore, lines: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agent_runtime.memory")
    store = EncryptedSessions(below, keys.ring)
    keys.write(*lines)
    for _ in range(2):
        with pytest.raises(KeyMissing, match=ORIGIN):
            await store.append("a", TURN)
    assert await below.count() == 0
    keys.write(OLD)
    await store.append("a", TURN)
    assert keys.missing == [True, False]
    assert [record.message for record in caplog.records] == [
        "session key missing",
        "session key found",
    ]


async def test_turns_from_before_encryption_are_still_read(keys: Keys, below: MemoryStore) -> None:
    keys.write(OLD)
    await below.append("a", TURN)
    store = EncryptedSessions(below, keys.ring)
    await store.append("a", TURN)
    assert await store.load("a") == [TURN, TURN]


async def ask(http: aiohttp.ClientSession, runtime: Served) -> tuple[int, str | None]:
    body = {"messages": [{"role": "user", "content": "sesame"}]}
    url, headers = f"{runtime.url}/v1/chat/completions", {"X-Session-Id": "s-1"}
    async with http.post(url, json=body, headers=headers) as response:
        answer = await response.json()
        return response.status, answer["error"]["code"] if "error" in answer else None


async def test_a_runtime_refuses_sessions_until_the_key_comes_and_its_file_stays_dark(
    tmp_path: Path,
) -> None:
    file, database = tmp_path / "keys", tmp_path / "s.db"
    sealed = config(
        contract="v1.1",
        sessions={"store": "SQLite", "path": str(database)},
        guard={"encryption": {"keys": {"file": str(file)}}},
    )
    async with serving(sealed) as runtime, aiohttp.ClientSession() as http:
        assert await ask(http, runtime) == (503, "session_key_missing")
        assert "agent_session_key_missing 1.0" in await runtime.metrics()
        file.write_text(OLD)
        missing = (503, "session_key_missing")
        async with asyncio.timeout(10):  # a key is looked for once a second
            while (answer := await ask(http, runtime)) == missing:  # noqa: ASYNC110  # no event tells
                await asyncio.sleep(0.1)
        assert answer == (200, None)
        assert "agent_session_key_missing 0.0" in await runtime.metrics()
    stored = b"".join((tmp_path / name).read_bytes() for name in os.listdir(tmp_path))
    assert b"gAAAA" in stored
    assert b"sesame" not in stored


async def test_sealed_turns_without_encryption_are_told_not_a_fault(
    tmp_path: Path,
) -> None:
    (tmp_path / "keys").write_text(OLD)
    plain = config(sessions={"store": "SQLite", "path": str(tmp_path / "s.db")})
    guard = {"encryption": {"keys": {"file": str(tmp_path / "keys")}}}
    async with aiohttp.ClientSession() as http:
        async with serving(plain | {"contract": "v1.1", "guard": guard}) as runtime:
            assert await ask(http, runtime) == (200, None)
        async with serving(plain) as runtime:
            assert await ask(http, runtime) == (503, "session_store_unavailable")
