"""`agentsystem render`: the configuration that the operator would render, for a laptop.

Uses the operator's pure core, so that what runs on a laptop is what would run in a cluster.
"""

from __future__ import annotations

import pathlib
import typing

import click
import yaml

from agentsystem_cli import cluster
from agentsystem_operator.api import resource, tiers
from agentsystem_operator.decide import pins, references
from agentsystem_operator.model import observed
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.plan import agent_config, templates

Manifests = list[cluster.Json]
# Nothing is deployed, so no image is named.
NO_IMAGE = ""


@click.command()
@click.argument("name", required=False)
@click.option(
    *("-f", "--filename", "files"),
    type=click.File(),
    multiple=True,
    required=True,
    help="File with the AgentSystem and the ConfigMaps it refers to; - is standard input.",
)
@click.option("-n", "--namespace", help="Namespace, where the manifest names none.")
def render(*, name: str | None, files: tuple[typing.TextIO, ...], namespace: str | None) -> None:
    """Print the configuration of a system for `agent-runtime serve --config FILE`.

    All agents of the system run in that one process. API keys are read from the files
    `keys/<provider>/key`, sessions are kept in `sessions.db`, both in the working directory. NAME
    is needed when the files hold several systems.
    """
    manifests = [each for file in files for each in documents(file)]
    system = chosen(manifests, name)
    inside = namespace or system["metadata"].get("namespace") or "default"
    system["metadata"]["namespace"] = inside
    click.echo(rendered(system, config_maps(manifests, inside)))


def documents(file: typing.TextIO) -> Manifests:
    """The objects in a YAML or JSON file."""
    try:
        found = [each for each in yaml.safe_load_all(file) if each is not None]
    except yaml.YAMLError as exc:
        raise cluster.CannotProceed(f"{file.name} is not valid YAML: {exc}") from exc
    if not all(isinstance(each, dict) and isinstance(each.get("metadata"), dict) for each in found):
        raise cluster.CannotProceed(f"{pathlib.Path(file.name)} holds something that is no object")
    return found


def chosen(manifests: Manifests, name: str | None) -> cluster.Json:
    """The AgentSystem of that name, or the only one."""
    systems = {m["metadata"].get("name"): m for m in manifests if m.get("kind") == resource.KIND}
    if name is None and len(systems) == 1:
        return next(iter(systems.values()))
    if name in systems:
        return systems[name]
    there = ", ".join(sorted(map(str, systems))) or "none"
    raise cluster.CannotProceed(f"which AgentSystem? The files hold: {there}")


def config_maps(manifests: Manifests, namespace: str) -> references.ConfigMaps:
    """The texts in the ConfigMaps of a namespace; those without one belong to any."""
    return {
        each["metadata"]["name"]: observed.Text(each.get("data") or {})
        for each in manifests
        if each.get("kind") == "ConfigMap"
        and each["metadata"].get("namespace", namespace) == namespace
    }


def rendered(system: cluster.Json, texts: references.ConfigMaps) -> str:
    """The configuration as text; raises CannotProceed with every field that is wrong."""
    parsed = resource.parse(system)
    if isinstance(parsed, resource.Invalid):
        raise refused(f"{problem.path}: {problem.message}" for problem in parsed.problems)
    absent = dict.fromkeys(references.names(parsed.spec), observed.Absent())
    match references.resolve(parsed.spec, {**absent, **texts}):
        case references.Resolved(texts=found):
            key = SystemKey(parsed.metadata.namespace, parsed.metadata.name)
            defaults = pins.Defaults(templates.NEWEST, NO_IMAGE, tiers.TABLE)
            config = agent_config.render_config(parsed.spec, found, key=key, defaults=defaults)
            return agent_config.as_text(config)
        case references.Broken(faults=faults):
            raise refused(f"{fault.path}: {fault.message}" for fault in faults)
        case other:
            raise AssertionError(other)  # everything was given, so nothing is unread or in doubt


def refused(lines: typing.Iterable[str]) -> cluster.CannotProceed:
    """The error that lists what is wrong."""
    return cluster.CannotProceed("this system cannot be rendered:\n  " + "\n  ".join(lines))
