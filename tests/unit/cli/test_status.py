"""What `agentsystem status` tells, and what it advises."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import pytest

from agentsystem_cli import advice
from agentsystem_operator.api.reasons import Reason
from tests.unit.cli.apiserver import Apiserver, Reply
from tests.unit.cli.conftest import Run

ROOT = pathlib.Path(__file__).resolve().parents[3]


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    """A condition as the operator writes it."""
    return {"type": kind, "status": status, "reason": reason, "message": message}


GOOD = (
    condition("Ready", "True", "AllAgentsReady", "2 of 2 agents are ready"),
    condition("Progressing", "False", "RolledOut"),
    condition("Degraded", "False", "AsDesired"),
    condition("Paused", "False", "NotPaused"),
)


def system(
    *conditions: dict[str, Any], namespace: str = "shop", name: str = "promptx", seen: int = 3
) -> dict[str, Any]:
    """A system with those conditions, one agent ready and one not."""
    agents = [
        {"name": "front", "ready": 1, "desired": 1, "revision": "abc", "claim": "promptx--front"},
        {"name": "poet", "ready": 0, "desired": 1, "reason": "RollingOut"},
    ]
    status = {
        "observedGeneration": seen,
        "conditions": list(conditions),
        "readyAgents": 1,
        "totalAgents": 2,
        "agents": agents,
    }
    return {
        "metadata": {"name": name, "namespace": namespace, "generation": 3},
        "spec": {"tier": "Testing"},
        "status": status if conditions else {},
    }


def test_a_ready_system_is_shown_whole_and_nothing_is_advised(fake: Apiserver, run: Run) -> None:
    fake.systems["shop", "promptx"] = system(*GOOD)

    result = run("status", "promptx")

    assert result.output.splitlines() == [
        "promptx (Testing) in namespace shop",
        "",
        "CONDITION    STATUS  REASON          MESSAGE",
        "Ready        True    AllAgentsReady  2 of 2 agents are ready",
        "Progressing  False   RolledOut",
        "Degraded     False   AsDesired",
        "Paused       False   NotPaused",
        "",
        "AGENT  READY  REVISION  REASON      CLAIM",
        "front  1/1    abc       -           promptx--front",
        "poet   0/1    -         RollingOut  -",
    ]


def test_providers_and_where_routes_lead_are_shown(fake: Apiserver, run: Run) -> None:
    told = system(*GOOD)
    told["status"]["providers"] = [
        {"name": "openai", "state": "Down", "since": "2026-11-28T10:00:51Z"},
        {"name": "canned", "state": "Unknown"},
    ]
    told["status"]["routes"] = [{"name": "chat", "active": "canned"}, {"name": "summary"}]
    fake.systems["shop", "promptx"] = told

    _, shown = run("status", "promptx").output.split("poet   0/1    -         RollingOut  -\n")

    assert shown.splitlines() == [
        "",
        "PROVIDER  STATE    SINCE",
        "openai    Down     2026-11-28T10:00:51Z",
        "canned    Unknown  -",
        "",
        "ROUTE    ASKS",
        "chat     canned",
        "summary  -",
    ]


def test_what_an_upgrade_holds_back_is_shown(fake: Apiserver, run: Run) -> None:
    held = system(*GOOD)
    held["status"]["agents"][0]["pinned"] = [
        {"setting": "Image", "held": "runtime:1", "next": "runtime:2"},
        {"setting": "Template", "held": "1", "next": "2"},
    ]
    fake.systems["shop", "promptx"] = held

    _, shown = run("status", "promptx").output.split("Held back until the agent is changed")

    assert shown.splitlines()[1:] == [
        "AGENT  SETTING   NOW        THEN",
        "front  Image     runtime:1  runtime:2",
        "front  Template  1          2",
    ]


def test_each_bad_condition_gets_one_line_of_advice(fake: Apiserver, run: Run) -> None:
    fake.systems["shop", "promptx"] = system(
        condition("Ready", "False", "ConfigMapMissing"),
        condition("ConfigValid", "False", "ConfigMapMissing"),
        condition("Degraded", "True", "BelowDesired"),
        condition("Progressing", "False", "DeadlineExceeded"),
    )

    _, advised = run("status", "promptx").output.split("What to do:\n")

    reasons = [line.split(":")[0].strip() for line in advised.splitlines()]
    assert reasons == ["ConfigMapMissing", "BelowDesired", "DeadlineExceeded"]
    assert "agentsystem.dev/system=promptx" in advised


def test_a_system_that_nobody_looked_at_asks_for_the_operator(fake: Apiserver, run: Run) -> None:
    fake.systems["shop", "promptx"] = system()

    assert "kubectl get pods -n agentsystem-system" in run("status", "promptx").output


def test_a_stale_status_says_so(fake: Apiserver, run: Run) -> None:
    fake.systems["shop", "promptx"] = system(*GOOD, seen=2)

    assert "not seen the newest change" in run("status", "promptx").output


def test_without_a_name_the_namespace_of_the_context_is_listed(fake: Apiserver, run: Run) -> None:
    fake.systems["shop", "promptx"] = system(*GOOD)
    fake.systems["lab", "other"] = system(namespace="lab", name="other")

    assert run("status").output.splitlines() == [
        "NAMESPACE  NAME     READY  REASON          AGENTS",
        "shop       promptx  True   AllAgentsReady  1/2",
    ]
    assert "lab        other    Unknown" in run("status", "-A").output
    assert "namespace 'default'" in run("status", "--context", "bare").output


def test_a_missing_system_names_the_namespace_that_was_searched(run: Run) -> None:
    result = run("status", "nope", "-n", "lab")

    assert result.exit_code == 1
    assert "no AgentSystem 'nope' in namespace 'lab'" in result.output


def test_a_cluster_without_the_operator_is_told_apart(fake: Apiserver, run: Run) -> None:
    fake.knows_agent_systems = False

    assert "is the operator installed?" in run("status", "promptx").output
    assert "is the operator installed?" in run("status").output


def test_an_unreachable_apiserver_and_a_missing_kubeconfig_are_explained(
    fake: Apiserver, run: Run, tmp_path: pathlib.Path
) -> None:
    fake.kubeconfig.write_text(
        re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:9", fake.kubeconfig.read_text())
    )
    unreachable = run("status")
    fake.kubeconfig.unlink()
    missing = run("status")

    assert (unreachable.exit_code, missing.exit_code) == (1, 1)
    assert "cannot reach the apiserver at http://127.0.0.1:9" in unreachable.output
    assert "no usable kubeconfig" in missing.output


def test_advice_is_only_about_reasons_that_the_operator_gives() -> None:
    assert set(advice.NEXT_STEP) <= {reason.value for reason in Reason}


@pytest.mark.parametrize("step", advice.NEXT_STEP.values(), ids=advice.NEXT_STEP.keys())
def test_a_runbook_that_advice_names_exists(step: str) -> None:
    for path in re.findall(r"docs/[\w/-]+\.md", step):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("text", ["a: [", "- 1", "", "\x00", "clusters: 7"])
def test_a_file_that_is_no_kubeconfig_is_explained(fake: Apiserver, run: Run, text: str) -> None:
    fake.kubeconfig.write_text(text)

    result = run("status")

    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "no usable kubeconfig" in result.stderr


def test_a_context_can_be_named_where_none_is_current(fake: Apiserver, run: Run) -> None:
    settings = json.loads(fake.kubeconfig.read_text())
    del settings["current-context"]
    fake.kubeconfig.write_text(json.dumps(settings))

    assert "in namespace 'shop'" in run("status", "--context", "here").output


@pytest.mark.parametrize("body", [b"<html>Log in</html>", b"[]", b'{"kind": "Other"}'])
def test_a_server_that_is_no_apiserver_is_explained(
    fake: Apiserver, run: Run, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr(fake, "answer_get", lambda _path: Reply(200, body))

    for command in (["status"], ["status", "promptx"]):
        result = run(*command)
        assert (result.exit_code, type(result.exception)) == (1, SystemExit)
        assert "is this the right --kubeconfig" in result.stderr


def test_an_answer_that_is_cut_off_is_explained(
    fake: Apiserver, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "answer_get", lambda _path: Reply(200, b"{", missing=10))

    result = run("status")

    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "cannot reach the apiserver" in result.stderr


@pytest.mark.parametrize("name", ["a/b", "..", "?x", "Promptx"])
def test_what_can_be_no_name_is_told_so(fake: Apiserver, run: Run, name: str) -> None:
    fake.systems["shop", "promptx"] = system(*GOOD)

    for command in (["status", name], ["status", "promptx", "-n", name], ["chat", name, "-m", "x"]):
        result = run(*command)
        assert (result.exit_code, f"{name!r} is no name" in result.stderr) == (1, True)


def test_a_message_of_several_lines_stays_in_its_row(fake: Apiserver, run: Run) -> None:
    fake.systems["shop", "promptx"] = system(
        condition("Ready", "False", "AgentsUnavailable", "refused:\n  quota\n  exceeded")
    )

    assert "AgentsUnavailable  refused: quota exceeded\n" in run("status", "promptx").output
