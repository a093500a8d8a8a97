"""Several stages run side by side, and whatever ends one of them leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import run, runner
from tests.run import Group
from tests.runner import Interrupted, Runner
from tests.tally import Tally

WAITS = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"


def until(is_so: Callable[[], bool], *, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_each_line_says_whose_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    assert Runner("code").run(sys.executable, "-c", "print('a'); print('b'); exit(3)") == 3
    assert capfd.readouterr().out == "code    | a\ncode    | b\n"
    Runner().run(sys.executable, "-c", "print('alone')")
    assert capfd.readouterr().out == "alone\n"


def test_what_a_command_leaves_running_does_not_hold_us_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runner, "SURE_S", 0.2)
    pid = tmp_path / "pid"
    leaves = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open(sys.argv[1], 'w').write(str(child.pid))"
    )
    began = time.monotonic()
    assert Runner("code").run(sys.executable, "-c", leaves, pid) == 0
    os.kill(int(pid.read_text()), signal.SIGKILL)
    assert time.monotonic() - began < 60


def test_a_lane_that_ends_early_ends_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    codes: list[int] = []

    def interrupted(_: Runner) -> Tally:
        until(begun.exists)
        raise Interrupted("SIGINT")

    def waiting(mine: Runner) -> Tally:
        codes.append(mine.run(sys.executable, "-c", WAITS, begun))
        return Tally(passed=1)

    monkeypatch.setattr(run, "prepare", lambda: None)
    lanes = {"a": (Group({"waits": waiting}),), "b": (Group({"ends": interrupted}),)}
    with pytest.raises(Interrupted):
        run.run_lanes(lanes)
    assert codes == []


def test_lanes_are_counted_together_and_only_what_is_wanted_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[str] = []

    def stage(name: str, tally: Tally) -> Callable[[Runner], Tally]:
        def done(_: Runner) -> Tally:
            ran.append(name)
            return tally

        return done

    ours = Group({"a": stage("a", Tally(passed=2)), "b": stage("b", Tally(failed=1))})
    theirs = Group({"c": stage("c", Tally(passed=1, skipped=1))})
    monkeypatch.setattr(run, "prepare", lambda: None)
    monkeypatch.setattr(run, "SIDE_BY_SIDE", {"one": (ours,), "two": (theirs,)})
    monkeypatch.setattr(run, "ALONE", (Group({"d": stage("d", Tally(passed=5))}),))

    assert run.run_all(["a", "b", "c"]) == Tally(3, 1, 1)
    assert sorted(ran) == ["a", "b", "c"]
    assert run.run_all(["d"]) == Tally(passed=5)


def test_a_command_that_is_stopped_is_no_result() -> None:
    mine = Runner("code")
    threading.Timer(0.5, mine.stop).start()
    with pytest.raises(Interrupted):
        mine.run(sys.executable, "-c", "import time; time.sleep(600)")
    with pytest.raises(Interrupted):
        mine.run(sys.executable, "-c", "pass")
