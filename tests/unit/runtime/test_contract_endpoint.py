"""Headers and Azure's settings of a rendered config: what is taken, and what is told."""

from pathlib import Path
from typing import Any

import pytest

from agent_runtime.app import config_file
from agent_runtime.app.config_file import Surroundings
from agent_runtime.app.contract import Config
from agent_runtime.problems import Invalid
from agentsystem_operator.api import endpoint_rules
from tests.contract.runtime.serving import openai_config

LAPTOP = Surroundings(in_cluster=False, grace_seconds=5.0, state_home=Path("/state"))
URL = "https://acme.openai.azure.com"


def parsed(**section: Any) -> Config:
    document = openai_config(URL, **section) | {"contract": "v1.1"}
    return config_file.parse(document, LAPTOP)


def test_headers_and_azure_s_version_are_read() -> None:
    headers = {"OpenAI-Organization": "org 1"}
    section = (
        parsed(headers=headers, azure={"apiVersion": "2025-01-01-preview"}).providers[0].open_ai
    )
    assert section is not None
    assert section.headers == headers
    assert section.azure is not None
    assert section.azure.api_version == "2025-01-01-preview"


@pytest.mark.parametrize(
    ("headers", "what"),
    [
        ({"x team": "a"}, "has a name that is none, or twice"),
        ({"x-team": "a", "X-Team": "b"}, "has a name that is none, or twice"),
        ({"x" * 65: "a"}, "has a name that is none, or twice"),
        ({"Authorization": "a"}, "holds a key"),
        ({"API-Key": "a"}, "holds a key"),
        ({"host": "a"}, "holds a key"),
        ({"x-team": "a\nb"}, "has a value that no header can have"),
        ({"x-team": "ü"}, "has a value that no header can have"),
    ],
)
def test_a_header_that_cannot_be_sent_is_told(headers: dict[str, str], what: str) -> None:
    with pytest.raises(Invalid) as caught:
        parsed(headers=headers)
    (problem,) = caught.value.problems
    assert problem.path == "providers[0].openAI.headers"
    assert what in problem.what


def test_azure_needs_an_address_and_a_version() -> None:
    document = openai_config(URL, azure={"apiVersion": "2024-10-21"}) | {"contract": "v1.1"}
    del document["providers"][0]["openAI"]["baseURL"]
    with pytest.raises(Invalid, match="add the address of the resource"):
        config_file.parse(document, LAPTOP)
    with pytest.raises(Invalid, match=r"azure\.apiVersion"):
        parsed(azure={"apiVersion": "latest"})


@pytest.mark.parametrize("name", endpoint_rules.NOT_HEADERS)
def test_the_runtime_refuses_every_header_that_the_operator_refuses(name: str) -> None:
    with pytest.raises(Invalid):
        parsed(headers={name: "a"})
