"""API keys: what the file says is who they stand for, and nothing else lets anybody in."""

import hashlib
import logging
from pathlib import Path

import pytest

from agent_runtime import __main__
from agent_runtime.guard import api_keys
from agent_runtime.guard.api_keys import ApiKeys
from agent_runtime.guard.principal import Principal, Priority, Role
from agent_runtime.guard.refusal import NotAdmitted, Refusal
from agent_runtime.guard.watched_file import WatchedFile
from agent_runtime.problems import Invalid
from tests.unit.runtime.credentials import FakeTime, written

ANN = Principal("ann", "acme", frozenset({Role.CHAT, Role.MODELS}), Priority.VIP)


def line(key: str, **changes: str) -> str:
    fields = {
        "id": "ann",
        "tenant": "acme",
        "roles": "[Chat, Models]",
        "priority": "VIP",
        **changes,
    }
    told = ", ".join(f"{name}: {value}" for name, value in fields.items())
    return f"- {{hash: 'sha256:{hashlib.sha256(key.encode()).hexdigest()}', {told}}}\n"


def keys_in(path: Path, clock: FakeTime) -> ApiKeys:
    origin = "Secret 'callers', key 'keys'"
    return ApiKeys(WatchedFile(path, api_keys.parse, what="API keys", origin=origin, clock=clock))


async def refusal_of(keys: ApiKeys, key: str) -> Refusal:
    with pytest.raises(NotAdmitted) as caught:
        await keys.principal_of(key)
    return caught.value.refusal


async def test_a_key_stands_for_what_its_line_says(tmp_path: Path) -> None:
    file = written(tmp_path / "keys", line("one") + line("two", id="bob", priority="Low"))
    keys = keys_in(file, FakeTime())
    assert await keys.principal_of("one") == ANN
    assert (await keys.principal_of("two")).priority is Priority.LOW
    for wrong in ("", "On", "one ", "one\x00", "é", "x" * 100_000):
        assert await refusal_of(keys, wrong) is Refusal.BAD_KEY


async def test_a_new_file_counts_a_second_later_and_a_deleted_one_revokes(tmp_path: Path) -> None:
    clock = FakeTime()
    file = tmp_path / "keys"
    keys = keys_in(file, clock)
    assert await refusal_of(keys, "one") is Refusal.UNAVAILABLE
    written(file, line("one"))
    clock.now += 1
    assert await keys.principal_of("one") == ANN
    written(file, line("two"))
    clock.now += 1
    assert await refusal_of(keys, "one") is Refusal.BAD_KEY
    assert await keys.principal_of("two") == ANN
    file.unlink()
    clock.now += 1
    assert await refusal_of(keys, "two") is Refusal.UNAVAILABLE


async def test_the_old_and_the_new_key_of_one_id_are_both_good_while_it_is_replaced(
    tmp_path: Path,
) -> None:
    keys = keys_in(written(tmp_path / "keys", line("old") + line("new")), FakeTime())
    assert await keys.principal_of("old") == await keys.principal_of("new") == ANN


async def test_a_spelling_mistake_locks_nobody_out_and_is_told_without_the_hash(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeTime()
    file = WatchedFile(
        written(tmp_path / "keys", line("one")), api_keys.parse, what="API keys", origin="x",
        clock=clock,
    )  # fmt: skip
    keys = ApiKeys(file)
    await keys.principal_of("one")
    written(tmp_path / "keys", line("one") + line("two", roles="[Admin]"))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            clock.now += 1
            assert await keys.principal_of("one") == ANN
            assert await refusal_of(keys, "two") is Refusal.BAD_KEY
    assert file.unusable
    (record,) = caplog.records
    (problem,) = vars(record)["problems"]
    assert problem.startswith("[1].roles[0]: input should be 'Chat' or 'Models'")
    written(tmp_path / "keys", line("two"))
    clock.now += 1
    assert await keys.principal_of("two") == ANN
    assert not file.unusable


async def test_an_empty_file_lets_nobody_in(tmp_path: Path) -> None:
    keys = keys_in(written(tmp_path / "keys", "# nobody yet\n"), FakeTime())
    assert await refusal_of(keys, "one") is Refusal.BAD_KEY


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("keys: []", "(whole file)"),
        ("- 1", "[0]"),
        ("- {id: ann}", "[0].hash"),
        (line("k", id="'-x'"), "[0].id"),
        (line("k", id="a" * 64), "[0].id"),
        (line("k", id="007"), "[0].id"),
        (line("k", tenant="a/b"), "[0].tenant"),
        (line("k", roles="[]"), "[0].roles"),
        (line("k", priority="vip"), "[0].priority"),
        (line("k", more="1"), "[0].more"),
        (line("k") + line("k", id="bob"), "[1].hash"),
        ("- {id: ann, hash: 'sha256:abc', roles: [Chat]}", "[0].hash"),
        ("- [", "(whole file)"),
        (b"\xff", "(whole file)"),
    ],
)
def test_every_mistake_in_the_file_is_named(text: str | bytes, path: str) -> None:
    with pytest.raises(Invalid) as caught:
        api_keys.parse(text.encode() if isinstance(text, str) else text)
    assert path in [problem.path for problem in caught.value.problems]


@pytest.mark.parametrize("id_", ["ann", "007", "no", "ann@acme.example"])
async def test_a_line_that_is_printed_lets_the_key_beside_it_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], id_: str
) -> None:
    arguments = ["key", "--id", id_, "--tenant", "acme", "--role", "Models", "--priority", "VIP"]
    assert __main__.main(arguments) == 0
    key, printed = capsys.readouterr().out.splitlines()
    assert len(key) > 40  # 256 bits
    assert key not in printed
    keys = keys_in(written(tmp_path / "keys", printed), FakeTime())
    wanted = Principal(id_, "acme", frozenset({Role.MODELS}), Priority.VIP)
    assert await keys.principal_of(key) == wanted


def test_a_key_for_a_bad_name_is_not_made(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        __main__.main(["key", "--id", "a/b"])
    assert caught.value.code == 2
    assert "is not a name" in capsys.readouterr().err
