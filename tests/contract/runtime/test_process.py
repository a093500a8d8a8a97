"""`agent-runtime serve` as a process: exit codes, drain, kill -9."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import ports
from tests.contract.runtime.serving import REPOSITORY, Process, config, process

SLOW = "default: one two three four five\nlatency: {perTokenSeconds: 0.3}"
ENDLESS = f"default: {'word ' * 500}\nlatency: {{perTokenSeconds: 0.1}}"


def run(folder: Path, document: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    file = folder / "config.json"
    file.write_text(json.dumps(document))
    command = [sys.executable, "-m", "agent_runtime", "serve", "--config", str(file), *arguments]
    env = os.environ | {"HOME": str(folder)}
    return subprocess.run(
        command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=30, check=False
    )


def test_a_wrong_config_names_each_wrong_field_and_exits_2_before_listening(
    tmp_path: Path,
) -> None:
    document = config(namespace="Shop", extra=1)
    document["agents"][0]["route"] = "chit"
    with socket.create_server(("127.0.0.1", 0)) as taken:  # it would exit 1 if it tried to listen
        port = str(taken.getsockname()[1])
        found = run(tmp_path, document, "--host", "127.0.0.1", "--port", port)
    assert found.returncode == 2
    assert [line.strip().split(":")[0] for line in found.stderr.splitlines()[1:]] == [
        "agents[0].route", "extra", "namespace",
    ]  # fmt: skip
    assert "there is no route 'chit'; use one of: chat" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = run(tmp_path, config(), "--host", "127.0.0.1", "--port", str(port))
    assert found.returncode == 1
    assert (
        found.stderr
        == f"agent-runtime: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    )


def test_a_store_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    document = config(sessions={"store": "SQLite", "path": str(tmp_path)})
    found = run(tmp_path, document, "--host", "127.0.0.1", "--port", "0", "--metrics-port", "0")
    assert (found.returncode, str(tmp_path) in found.stderr) == (1, True)
    assert "Traceback" not in found.stderr


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def test_a_running_stream_finishes_during_drain_and_new_clients_are_still_served(
    tmp_path: Path,
) -> None:
    with process(config(script=SLOW), tmp_path) as running:
        url = f"{running.url}/v1/chat/completions"
        asked = ask("hello", stream=True)
        with httpx.Client() as http, http.stream("POST", url, json=asked) as stream:
            lines = stream.iter_lines()
            first = next(lines)
            running.terminate()
            ready = _wait_for_status(f"{running.url}/ready", 503)
            late = httpx.post(url, json=ask("hello", max_tokens=1))
            rest = [line for line in lines if line]
        assert running.process.wait(20) == 0
    assert '"one"' in first
    assert rest[-1] == "data: [DONE]"
    assert len(rest) == 6  # four more words, the end, [DONE]
    assert ready.headers["connection"] == "close"
    assert (late.status_code, late.headers["connection"]) == (200, "close")


def _wait_for_status(url: str, status: int) -> httpx.Response:
    for _ in range(500):
        found = httpx.get(url)
        if found.status_code == status:
            return found
    raise AssertionError(f"{url} never answered {status}")


def test_who_outlives_the_grace_period_is_told_so(tmp_path: Path) -> None:
    with process(config(script=ENDLESS), tmp_path, AGENT_GRACE_SECONDS="2") as running:
        url = f"{running.url}/v1/chat/completions"
        with httpx.stream("POST", url, json=ask("hello", stream=True)) as stream:
            lines = stream.iter_lines()
            next(lines)
            running.terminate()
            last = [line for line in lines if line][-1]
        assert running.process.wait(20) == 0
        log = running.log()
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "shutting_down"
    assert '"message":"cutting off"' in log


def test_a_second_signal_does_not_wait_for_running_answers(tmp_path: Path) -> None:
    with process(config(script=ENDLESS), tmp_path) as running:
        url = f"{running.url}/v1/chat/completions"
        with httpx.stream("POST", url, json=ask("hello", stream=True)) as stream:
            lines = stream.iter_lines()
            next(lines)
            running.terminate()
            _wait_for_status(f"{running.url}/ready", 503)
            running.terminate()
            last = [line for line in lines if line][-1]
        assert running.process.wait(20) == 0
    assert '"code":"shutting_down"' in last


def test_an_idle_process_stops_at_once(tmp_path: Path) -> None:
    with process(config(), tmp_path) as running:
        running.terminate()
        assert running.process.wait(20) == 0
        log = running.log()
    assert [json.loads(line)["message"] for line in log.splitlines()] == ["draining", "stopped"]


def test_acknowledged_turns_survive_kill_9(tmp_path: Path) -> None:
    document = config(
        script='default: "turn {turn}"',
        sessions={"store": "SQLite", "path": str(tmp_path / "s.db")},
    )
    headers = {"X-Session-Id": "s-1"}
    for life in range(2):
        with process(document, tmp_path) as running:
            url = f"{running.url}/v1/chat/completions"
            for stream in (False, True):
                found = httpx.post(url, json=ask("hello", stream=stream), headers=headers)
                turn = life * 2 + stream + 1
                words = found.text if stream else found.json()["choices"][0]["message"]["content"]
                assert f"{turn}" in words.replace('"content":" ', "turn ").split("turn", 1)[1]
            running.kill()


def test_a_laptop_keeps_its_sessions_without_being_told_where(tmp_path: Path) -> None:
    document = config()
    del document["sessions"]
    with process(document, tmp_path, XDG_STATE_HOME=str(tmp_path / "state")) as running:
        found = httpx.post(
            f"{running.url}/v1/chat/completions", json=ask("x"), headers={"X-Session-Id": "s"}
        )
        assert found.status_code == 200
    assert (tmp_path / "state/agentsystem/shop/support/sessions.db").exists()


def test_no_message_text_reaches_the_log(tmp_path: Path) -> None:
    script = "rules: [{match: crash, fault: {kind: status, status: 500}}]"
    with process(config(script=script), tmp_path) as running:
        for text in ("crash sesame-7", "sesame-7"):
            httpx.post(f"{running.url}/v1/chat/completions", json=ask(text))
        httpx.post(f"{running.url}/v1/chat/completions", content=b'{"sesame-7')
        running.terminate()
        assert running.process.wait(20) == 0
        log = running.log()
    assert '"message":"provider failing"' in log
    assert "sesame" not in log
    assert "be kind" not in log


def test_the_runtime_needs_neither_operator_nor_kubernetes() -> None:
    code = (
        "import sys, agent_runtime.__main__; "
        "print([m for m in ('kopf', 'kubernetes', 'agentsystem_operator') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Keep everybody else from writing to a session store."""
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_everything_is_open_ends_it_without_complaint(
    tmp_path: Path, number: signal.Signals
) -> None:
    store = tmp_path / "s.db"
    document = config(sessions={"store": "SQLite", "path": str(store)})
    (tmp_path / "c.json").write_text(json.dumps(document))
    sqlite3.connect(store).close()
    with locked(store):
        starting = Process(tmp_path / "c.json", ports.free())
        try:
            _wait_until(lambda: _has_open(starting, store))
            starting.process.send_signal(number)
            time.sleep(0.2)
        finally:
            watch = threading.Timer(20, starting.kill)
            watch.start()
    code = starting.process.wait(30)
    watch.cancel()
    log = starting.log()
    assert (code, "Traceback" in log) == (0, False), log


def test_another_signal_while_the_store_is_being_closed_changes_nothing(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    document = config(sessions={"store": "SQLite", "path": str(store)})
    with process(document, tmp_path, AGENT_GRACE_SECONDS="0") as running:
        url = f"{running.url}/v1/chat/completions"
        headers = {"X-Session-Id": "s-1"}
        with locked(store), ThreadPoolExecutor() as pool:
            asked = pool.submit(httpx.post, url, json=ask("hello"), headers=headers, timeout=20)
            _wait_until(lambda: httpx.get(f"{running.url}/health").is_success)
            time.sleep(0.3)
            running.terminate()
            assert asked.result().status_code == 503
            for _ in range(3):
                time.sleep(0.2)
                running.terminate()
        assert running.process.wait(20) == 0


def _has_open(running: Process, file: Path) -> bool:
    folder = Path(f"/proc/{running.process.pid}/fd")
    # Not realpath: it asks twice, and an entry may close between.
    for entry in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(entry) == str(file):
                return True
    return False


def _wait_until(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it never became true")
