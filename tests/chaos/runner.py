"""Runs sweeps: many cases side by side, with some seeds each, into a list of verdicts.

`python -m tests.chaos` prints them, `bench faults` and pytest use them as values.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.chaos import rig, trial
from tests.chaos.sweeps import crash, half_open, stale, tampering, two_operators, unobserved
from tests.chaos.trial import References, Trial, Verdict

PARALLEL = 6
"""Cases at once on two cores: most of a case is waiting for silence."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A kind of fault and its cases."""

    letter: str
    pattern: str
    """What is done to the operator, in words: a row's title in the table."""
    trials: Callable[[References, Sequence[str]], Awaitable[list[Trial]]]
    """Returns the cases whose names begin with one of the texts, or more; all for none."""


SWEEPS = tuple(
    Sweep(module.LETTER, module.PATTERN, module.trials)
    for module in (crash, stale, unobserved, half_open, two_operators, tampering)
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to run."""

    sweeps: Sequence[str] = tuple(sweep.letter for sweep in SWEEPS)
    seeds: Sequence[int] = (1,)
    cases: Sequence[str] = ()
    """Names of cases, or their beginnings; none means all."""
    parallel: int = PARALLEL
    settle_s: float = rig.SETTLE_S
    rest: bool = True
    """Whether the first case of each sweep rests for a minute at its end."""


async def run(
    kubeconfig: Path, folder: Path, wanted: Wanted, *, told: Callable[[Verdict], None]
) -> list[Verdict]:
    """Run cases against a cluster; `told` hears of each verdict when it falls."""
    async with rig.running(kubeconfig, folder, settle_s=wanted.settle_s) as shared:
        slots = asyncio.Semaphore(wanted.parallel)

        async with asyncio.TaskGroup() as group:
            references = References(shared, slots, group)

            async def one(sweep: Sweep, case: Trial, seed: int) -> Verdict:
                verdict = await _judged(sweep.letter, case, seed, references, slots)
                told(verdict)
                return verdict

            tasks = [
                group.create_task(one(sweep, case, seed))
                for sweep in SWEEPS
                if sweep.letter in wanted.sweeps
                for case in await _cases(sweep, references, wanted)
                for seed in wanted.seeds
            ]
    return [task.result() for task in tasks]


async def _judged(
    sweep: str, case: Trial, seed: int, references: References, slots: asyncio.Semaphore
) -> Verdict:
    try:
        # Before a slot is taken: the reference needs some itself.
        reference = await references.of(case.story)
    except trial.NoReference as exc:
        return Verdict(sweep, case.name, seed, (str(exc),))
    async with slots:
        return await trial.run(references.rig, reference, sweep, case, seed=seed)


async def _cases(sweep: Sweep, references: References, wanted: Wanted) -> list[Trial]:
    cases = await sweep.trials(references, wanted.cases)
    beginnings = tuple(wanted.cases) or ("",)
    found = [case for case in cases if case.name.startswith(beginnings)]
    if found and wanted.rest:
        found[0] = replace(found[0], rest_s=trial.REST_S)
    return found
