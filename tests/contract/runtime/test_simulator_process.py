"""`agent-runtime simulate` as a process: exit codes, its log, and a runtime that talks to it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.runtime import serving
from tests.contract.runtime.serving import REPOSITORY, openai_config
from tests.contract.runtime.simulated import ANTHROPIC, CHAT, MESSAGES, ask, message

COMMAND = [sys.executable, "-m", "agent_runtime", "simulate", "--host", "127.0.0.1"]
FREE_PORTS = ["--port", "0", "--control-port", "0"]


class Process:
    """A real `agent-runtime simulate`, once it says where it listens."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *FREE_PORTS, *arguments], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        said = json.loads(self.process.stderr.readline())
        assert said["message"] == "simulating"
        self.url = f"http://{said['address']}"
        self.control_url = f"http://{said['control_address']}"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Return the exit code and the rest of the log."""
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=30)
        return self.process.returncode, log


@contextmanager
def simulator(*arguments: str) -> Iterator[Process]:
    running = Process(*arguments)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_even_while_an_answer_hangs(number: signal.Signals) -> None:
    with simulator() as running:
        address = running.url.removeprefix("http://").split(":")
        body = json.dumps(ask()).encode()
        head = b"POST %b HTTP/1.1\r\nhost: x\r\nx-simulate: hang\r\ncontent-length: %d\r\n\r\n"
        with socket.create_connection((address[0], int(address[1]))) as hanging:
            hanging.sendall(head % (CHAT.encode(), len(body)) + body)
            while not httpx.get(f"{running.control_url}/control/counts").json()["inFlight"]:
                pass
            code, log = running.stop(number)
    assert code == 0
    assert json.loads(log.splitlines()[-1])["message"] == "stopped"


def test_neither_keys_nor_prompts_are_logged() -> None:
    secret = {"authorization": "Bearer sk-secret", **ANTHROPIC}
    with simulator() as running:
        for path, body in ((CHAT, ask("my prompt")), (MESSAGES, message("my prompt"))):
            assert httpx.post(running.url + path, json=body, headers=secret).status_code == 200
        wrong = {"x-simulate": "sk-secret; my=prompt", **secret}
        told = httpx.post(running.url + CHAT, json=ask(), headers=wrong)
        answers = {"rules": [{"match": "x", "answer": "my prompt"}]}
        httpx.put(f"{running.control_url}/control", json={"answers": answers})
        counts = httpx.get(f"{running.control_url}/control/counts").text
        code, log = running.stop()
    assert (code, told.status_code) == (0, 400)
    for text in (log, counts):
        assert "my prompt" not in text
        assert "secret" not in text


def test_a_file_orders_what_it_begins_with(tmp_path: Path) -> None:
    file = tmp_path / "control.yaml"
    file.write_text("answers: {default: one two}\nlimits: {requestsPerMinute: 1}\n")
    with simulator("--control", str(file)) as running:
        first, second = (httpx.post(running.url + CHAT, json=ask()) for _ in range(2))
    assert first.json()["choices"][0]["message"]["content"] == "one two"
    assert second.status_code == 429


def test_a_wrong_file_is_named_with_each_wrong_field(tmp_path: Path) -> None:
    file = tmp_path / "control.json"
    file.write_text('{"rules": [{"fault": {"kind": "hang", "status": 500}}], "limit": {}}')
    found = run("--control", str(file))
    assert found.returncode == 2
    assert f"agent-runtime: {file} cannot be used:" in found.stderr
    assert "  limit: is not a field of the control document" in found.stderr
    assert "  rules[0].fault: has `status`, which kind hang does not know" in found.stderr


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    found = run("--control", str(tmp_path / "nothing.json"))
    assert found.returncode == 2
    assert "nothing.json cannot be read" in found.stderr


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        found = run("--port", "0", "--control-port", port)
    assert found.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in found.stderr


async def test_a_runtime_answers_through_it_and_each_answer_is_billed_once() -> None:
    with simulator() as running:
        runtime_config: dict[str, Any] = openai_config(f"{running.url}/v1")
        async with serving.serving(runtime_config) as served, httpx.AsyncClient() as http:
            url = f"{served.url}/v1/chat/completions"
            body = ask("hello") | {"model": "front"}
            plain = (await http.post(url, json=body)).json()
            streamed = (await http.post(url, json=body | {"stream": True})).text
            order = {"rules": [{"fault": {"kind": "reset", "afterChunks": 2}}]}
            await http.put(f"{running.control_url}/control", json=order)
            cut = (await http.post(url, json=body | {"stream": True})).text
            counts = (await http.get(f"{running.control_url}/control/counts")).json()
    assert plain["usage"]["completion_tokens"] * 2 == counts["billed"]["outputTokens"]
    assert plain["usage"]["prompt_tokens"] * 2 == counts["billed"]["inputTokens"]
    assert streamed.endswith("data: [DONE]\n\n")
    assert "provider_broke_off" in cut
    assert (counts["completed"], counts["broken"]) == (2, {"answers": 1, "outputTokens": 2})
