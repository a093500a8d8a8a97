"""What the operator renders for each sample, the runtime accepts: in a pod and on a laptop.

Only tests may see both halves; neither imports the other.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_runtime.app import config_file
from agent_runtime.app.config_file import Surroundings
from agentsystem_operator.api import tiers
from agentsystem_operator.api.base import STORED
from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.decide import pins, workloads
from agentsystem_operator.decide.workloads import Workload
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.plan import agent_config
from tests.contract.runtime.serving import REPOSITORY

SAMPLES = sorted((REPOSITORY / "config/samples").glob("*.yaml"))
LAPTOP = Surroundings(in_cluster=False, grace_seconds=25.0, state_home=Path("/state"))
CLUSTER = Surroundings(in_cluster=True, grace_seconds=25.0, state_home=Path("/state"))
DEFAULTS = pins.Defaults(template=1, image="agent-runtime:dev", tiers=tiers.TABLE)


@dataclass(frozen=True)
class Sample:
    """The AgentSystem of a sample file, and the ConfigMaps beside it."""

    key: SystemKey
    spec: AgentSystemSpec
    texts: dict[tuple[str, str], str]


def sample_in(path: Path, *, stored: bool = False) -> Sample:
    """Return what a file holds; `stored`: as a cluster may hold it since before some rules came."""
    context = STORED if stored else None
    documents: list[Any] = [d for d in yaml.safe_load_all(path.read_text()) if d]
    system = next(d for d in documents if d["kind"] == "AgentSystem")
    texts = {
        (document["metadata"]["name"], key): text
        for document in documents
        if document["kind"] == "ConfigMap"
        for key, text in document["data"].items()
    }
    spec = AgentSystemSpec.model_validate(system["spec"], context=context)
    meta = system["metadata"]
    return Sample(SystemKey(meta.get("namespace", "shop"), meta["name"]), spec, texts)


def workloads_of(sample: Sample) -> tuple[Workload, ...]:
    """Return what the agents of a sample have to run."""
    owner = workloads.Owner(sample.key, "uid")
    return workloads.of_system(sample.spec, sample.texts, owner=owner, pinned={}, defaults=DEFAULTS)


def accepted(rendered: dict[str, Any], surroundings: Surroundings) -> list[str]:
    """Return the agents of a rendered config that the runtime has accepted."""
    document = json.loads(agent_config.as_text(rendered))
    return [agent.name for agent in config_file.parse(document, surroundings).agents]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_pod_s_config_is_accepted(path: Path) -> None:
    sample = sample_in(path)
    found = workloads_of(sample)
    served = [accepted(agent_config.of_workload(workload), CLUSTER) for workload in found]
    assert served == [[agent.name] for agent in sample.spec.agents]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_laptop_serves_all_agents_of_a_system(path: Path) -> None:
    sample = sample_in(path)
    rendered = agent_config.render_config(
        sample.spec, sample.texts, key=sample.key, defaults=DEFAULTS
    )
    assert accepted(rendered, LAPTOP) == [agent.name for agent in sample.spec.agents]


def test_both_halves_name_the_same_version_of_the_contract() -> None:
    versions = {path.name for path in (REPOSITORY / "config/contract").glob("v*")}
    assert agent_config.CONTRACT in versions
