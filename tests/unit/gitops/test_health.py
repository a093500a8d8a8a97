"""What Argo CD and kstatus conclude from what real runs of the operator reported.

The dumps are written by tests/integration/coexistence/capture.py.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lupa  # type: ignore[import-untyped]  # ships no stubs
import pytest
import yaml

from tests.conftest import ROOT
from tests.unit.gitops import kstatus

DUMPS = Path(__file__).parent / "dumps"
SETTINGS = yaml.safe_load((ROOT / "config/argocd/argocd-cm.yaml").read_text())["data"]
CUSTOM = "resource.customizations"
KIND = "agentsystem.dev_AgentSystem"


@dataclass(frozen=True)
class State:
    name: str
    argo: str
    kstatus: str
    message: str
    """What Argo CD's message begins with."""


STATES = (
    State("new", "Progressing", "InProgress", "Waiting for the operator to look at it"),
    State("progressing", "Progressing", "InProgress", "AgentsUnavailable"),
    State("ready", "Healthy", "Current", "AllAgentsReady"),
    State("updating", "Progressing", "InProgress", "RollingOut"),
    State("behind", "Progressing", "InProgress", "Waiting for the operator to see the newest"),
    State("deleting", "Progressing", "Terminating", "Being deleted"),
    State("degraded", "Degraded", "InProgress", "BelowDesired"),
    State("deadline-exceeded", "Degraded", "Failed", "DeadlineExceeded"),
    State("config-map-missing", "Progressing", "InProgress", "ConfigMapMissing"),
    State("name-taken", "Degraded", "Failed", "NameTaken"),
    State("apply-refused", "Degraded", "Failed", "ApplyRefused"),
    State("paused", "Suspended", "Current", "PausedBySpec"),
    State("paused-waiting", "Suspended", "InProgress", "PausedBySpec"),
    State("scaled-to-zero", "Suspended", "InProgress", "ScaledToZero"),
)


def dump(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DUMPS / f"{name}.json").read_text())
    return found


def health(obj: dict[str, Any]) -> tuple[str, str]:
    """Run the health rule as Argo CD does: `obj` is global, and few libraries are there."""
    lua = lupa.LuaRuntime(register_eval=False, unpack_returned_tuples=True)
    lua.execute('getmetatable("").__index = nil')
    for library in ("string", "os", "io", "math", "debug", "coroutine", "utf8", "require"):
        lua.globals()[library] = None
    lua.globals().obj = lua.table_from(obj, recursive=True)
    found = lua.execute(SETTINGS[f"{CUSTOM}.health.{KIND}"])
    return found.status, found.message


def test_there_is_a_dump_of_every_state_and_no_other() -> None:
    assert {path.stem for path in DUMPS.iterdir()} == {state.name for state in STATES}


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_argo_cd_shows_the_health_that_a_person_would(state: State) -> None:
    status, message = health(dump(state.name))
    assert (status, message[: len(state.message)]) == (state.argo, state.message)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_kstatus_waits_ends_or_gives_up_as_it_should(state: State) -> None:
    assert kstatus.judged(dump(state.name)) == state.kstatus


def test_kstatus_never_takes_for_current_what_nobody_has_looked_at() -> None:
    """The default of the schema does it: a bare object without a status would count as Current."""
    found = dump("new")
    assert found["status"] == {"observedGeneration": -1}
    del found["status"]
    assert kstatus.judged(found) == kstatus.CURRENT


@pytest.mark.parametrize("missing", ["status", "conditions", "observedGeneration"])
def test_a_status_with_holes_is_never_healthy(missing: str) -> None:
    found = dump("ready")
    found.pop(missing, None)
    found.get("status", {}).pop(missing, None)
    assert health(found)[0] == "Progressing"


def test_a_condition_without_a_message_is_shown_all_the_same() -> None:
    found = copy.deepcopy(dump("ready"))
    for condition in found["status"]["conditions"]:
        del condition["message"]
    assert health(found) == ("Healthy", "AllAgentsReady: ")


@pytest.mark.parametrize("setting", ["ignoreResourceUpdates", "ignoreDifferences"])
def test_what_is_ignored_is_the_status_and_nothing_of_the_spec(setting: str) -> None:
    rule = yaml.safe_load(SETTINGS[f"{CUSTOM}.{setting}.{KIND}"])
    assert rule == {"jsonPointers": ["/status"]}
    assert "status" in dump("ready")


def test_the_settings_name_the_kind_as_the_crd_does() -> None:
    crd = yaml.safe_load((ROOT / "crds/agentsystems.agentsystem.dev.yaml").read_text())["spec"]
    kind = f"{crd['group']}_{crd['names']['kind']}"
    assert {key.rpartition(".agentsystem.dev")[0] for key in SETTINGS} == {
        f"{CUSTOM}.{rule}" for rule in ("health", "ignoreResourceUpdates", "ignoreDifferences")
    }
    assert all(key.endswith(kind) for key in SETTINGS)
