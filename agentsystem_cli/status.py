"""`agentsystem status`: how systems are doing, and what to do when they are not Ready."""

from __future__ import annotations

import collections.abc
import itertools

import click

from agentsystem_cli import advice, cluster

# These are good when False; all others when True.
NEGATIVE = frozenset({"Degraded", "Paused", "Stalled"})
# Progressing is neither good nor bad: it says that something is under way.
NEUTRAL = frozenset({"Progressing"})
Row = collections.abc.Sequence[str]


@click.command()
@click.argument("name", required=False)
@click.option("-A", "--all-namespaces", is_flag=True, help="Systems of every namespace.")
@cluster.options
def status(where: cluster.Cluster, *, name: str | None, all_namespaces: bool) -> None:
    """Show how a system is doing, or list all systems without NAME."""
    if name:
        click.echo("\n".join(describe(where.system(name))))
        return
    found = where.systems(everywhere=all_namespaces)
    if not found:
        place = "the cluster" if all_namespaces else f"namespace {where.namespace!r}"
        click.echo(f"There are no agent systems in {place}.")
        return
    click.echo("\n".join(table(("NAMESPACE", "NAME", "READY", "REASON", "AGENTS"), rows(found))))


def rows(systems: collections.abc.Iterable[cluster.Json]) -> collections.abc.Iterator[Row]:
    """One row for each system."""
    for system in systems:
        seen = system.get("status", {})
        ready = condition(system, "Ready")
        agents = f"{seen.get('readyAgents', 0)}/{seen.get('totalAgents', '?')}"
        where = system["metadata"]
        yield where["namespace"], where["name"], ready["status"], ready["reason"], agents


def describe(system: cluster.Json) -> collections.abc.Iterator[str]:
    """The lines that tell all about one system."""
    about, seen = system["metadata"], system.get("status", {})
    name = about["name"]
    yield f"{name} ({system['spec'].get('tier', '?')}) in namespace {about['namespace']}"
    if not seen.get("conditions"):
        yield "The operator has not looked at it yet. Does it run?"
        yield "  kubectl get pods -n agentsystem-system"
        return
    if seen.get("observedGeneration") != system["metadata"].get("generation"):
        yield "The operator has not seen the newest change of the spec yet."
    yield ""
    yield from table(
        ("CONDITION", "STATUS", "REASON", "MESSAGE"), map(condition_row, seen["conditions"])
    )
    yield ""
    yield from table(
        ("AGENT", "READY", "REVISION", "REASON", "CLAIM"), map(agent_row, seen.get("agents", ()))
    )
    yield from models(seen)
    yield from held_back(seen.get("agents", ()))
    yield from what_to_do(name, seen["conditions"])


def models(seen: cluster.Json) -> collections.abc.Iterator[str]:
    """How providers are, and which of them each route asks first; nothing without a channel."""
    providers = [
        (each["name"], each["state"], each.get("since") or "-")
        for each in seen.get("providers", ())
    ]
    if providers:
        yield ""
        yield from table(("PROVIDER", "STATE", "SINCE"), providers)
    routes = [(each["name"], each.get("active") or "-") for each in seen.get("routes", ())]
    if routes:
        yield ""
        yield from table(("ROUTE", "ASKS"), routes)


def held_back(agents: collections.abc.Iterable[cluster.Json]) -> collections.abc.Iterator[str]:
    """What a newer operator changes with each agent's next change; nothing when there is none."""
    found = [
        (each["name"], pinned["setting"], pinned["held"] or "-", pinned["next"] or "-")
        for each in agents
        for pinned in each.get("pinned", ())
    ]
    if found:
        yield ""
        yield "Held back until the agent is changed, since an upgrade restarts nothing:"
        yield from table(("AGENT", "SETTING", "NOW", "THEN"), found)


def what_to_do(
    name: str, conditions: collections.abc.Iterable[cluster.Json]
) -> collections.abc.Iterator[str]:
    """Advice on each condition that is not as it should be; nothing when all are."""
    steps = {
        each["reason"]: advice.next_step(each["reason"], name)
        for each in conditions
        if not is_good(each)
    }
    lines = [f"  {reason}: {step}" for reason, step in steps.items() if step]
    if lines:
        yield ""
        yield "What to do:"
        yield from lines


def is_good(each: cluster.Json) -> bool:
    """Whether a condition is as it should be."""
    if each["type"] in NEUTRAL:
        return str(each["reason"]) != "DeadlineExceeded"
    return bool(each["status"] == ("False" if each["type"] in NEGATIVE else "True"))


def condition(system: cluster.Json, wanted: str) -> cluster.Json:
    """The condition of that type, or one that says that there is none yet."""
    conditions = system.get("status", {}).get("conditions", ())
    found = (each for each in conditions if each["type"] == wanted)
    return next(found, {"type": wanted, "status": "Unknown", "reason": "NotReported"})


def condition_row(each: cluster.Json) -> Row:
    """One condition as a row."""
    message = " ".join(each.get("message", "").split())  # what a webhook says may have many lines
    return each["type"], each["status"], each["reason"], message


def agent_row(each: cluster.Json) -> Row:
    """One agent as a row; what is not known is a dash."""
    pods = f"{each.get('ready', '-')}/{each.get('desired', '-')}"
    rest = (str(each.get(field) or "-") for field in ("revision", "reason", "claim"))
    return (each["name"], pods, *rest)


def table(header: Row, body: collections.abc.Iterable[Row]) -> collections.abc.Iterator[str]:
    """Lines with columns as wide as their widest cell; the last one is left as it is."""
    cells = [tuple(header), *(tuple(row) for row in body)]
    widths = [max(map(len, column)) for column in itertools.zip_longest(*cells, fillvalue="")]
    for row in cells:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()
