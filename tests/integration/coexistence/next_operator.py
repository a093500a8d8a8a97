"""The operator of a version that does not exist yet: the same parts with other settings.

Run with `python -m` and the flags of the real one. Its default image is what the flag says; its
tier table and the newest version of its template are others.
"""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from agentsystem_operator import engine, settings
from agentsystem_operator.adapters import connection, logs
from agentsystem_operator.api import tiers
from agentsystem_operator.decide.workloads import Workload
from agentsystem_operator.plan import templates
from agentsystem_operator.wiring import Operator

TIERS = {
    tier: replace(
        defaults,
        replicas=defaults.replicas + 1,
        pre_stop=defaults.pre_stop + timedelta(seconds=1),
        spread_required=not defaults.spread_required,
    )
    for tier, defaults in tiers.TABLE.items()
}


def _deployment(workload: Workload, revision: str) -> Mapping[str, Any]:
    released = templates.VERSIONS[templates.NEWEST].deployment(workload, revision)
    spec = {**released["template"]["spec"], "terminationGracePeriodSeconds": 31}
    return {**released, "minReadySeconds": 6, "template": {**released["template"], "spec": spec}}


def _config(workload: Workload) -> Mapping[str, Any]:
    released = templates.VERSIONS[templates.NEWEST].config(workload)
    return {**released, "contract": "v1.99", "novelty": True}


TEMPLATES = {
    **templates.VERSIONS,
    templates.NEWEST + 1: replace(
        templates.VERSIONS[templates.NEWEST], deployment=_deployment, config=_config
    ),
}


async def run(given: settings.Settings) -> None:
    """Run until SIGTERM."""
    assert given.kubeconfig
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def take_signals() -> None:
        loop.add_signal_handler(signal.SIGTERM, stop.set)

    take_signals()
    ours = engine.Settings(given.runtime_image, templates=TEMPLATES, tiers=TIERS)
    evaluate = functools.partial(engine.evaluate, settings=ours)
    link = connection.from_kubeconfig(given.kubeconfig)
    await Operator(given, link, evaluate=evaluate, stop=stop, take_signals=take_signals).run()


if __name__ == "__main__":
    parsed = settings.parse(sys.argv[1:])
    logs.configure(parsed.log_level)
    asyncio.run(run(parsed))
