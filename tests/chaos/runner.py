"""Runs sweeps: many cases side by side, with some seeds each, into a list of verdicts.

`python -m tests.chaos` prints them, `bench faults` and pytest use them as values.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tests.chaos import rig, trial
from tests.chaos.sweeps import (
    api_faults,
    crash,
    half_open,
    outage,
    spec_walk,
    stale,
    tampering,
    two_operators,
    unobserved,
)
from tests.chaos.trial import NOTHING, References, Trial, Verdict

PARALLEL = 16
"""Cases at once on two cores: most of a case is waiting for silence."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A kind of fault and its cases."""

    letter: str
    pattern: str
    """What is done to the operator, in words: a row's title in the table."""
    trials: Callable[[References, Sequence[str]], Awaitable[list[Trial]]]
    """Returns the cases whose names begin with one of the texts, or more; all for none."""
    is_shared: bool = False
    """Its cases take the cluster down: they share that, and run when no other sweep does."""


SWEEPS = (
    *(
        Sweep(module.LETTER, module.PATTERN, module.trials)
        for module in (crash, stale, unobserved, api_faults)
    ),
    Sweep(outage.LETTER, outage.PATTERN, outage.trials, is_shared=True),
    *(
        Sweep(module.LETTER, module.PATTERN, module.trials)
        for module in (half_open, two_operators, tampering, spec_walk)
    ),
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
    async with (
        rig.running(kubeconfig, folder, settle_s=wanted.settle_s) as shared,
        asyncio.TaskGroup() as group,
    ):
        slots = asyncio.Semaphore(wanted.parallel)
        crew = _Crew(References(shared, slots, group), wanted, told)
        sweeps = [sweep for sweep in SWEEPS if sweep.letter in wanted.sweeps]
        return [
            *await crew.side_by_side([sweep for sweep in sweeps if not sweep.is_shared], slots),
            *await crew.together([sweep for sweep in sweeps if sweep.is_shared]),
        ]


@dataclass(frozen=True, slots=True)
class _Crew:
    references: References
    wanted: Wanted
    told: Callable[[Verdict], None]

    async def side_by_side(
        self, sweeps: Sequence[Sweep], slots: asyncio.Semaphore
    ) -> list[Verdict]:
        """Run the cases of independent sweeps, a few at a time."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._one(sweep, case, seed, slots))
                for sweep in sweeps
                for case in await _cases(sweep, self.references, self.wanted)
                for seed in (self.wanted.seeds if case.seeded else self.wanted.seeds[:1])
            ]
        return [task.result() for task in tasks]

    async def together(self, sweeps: Sequence[Sweep]) -> list[Verdict]:
        """Run the cases that meet in one fault of the whole cluster, fault by fault."""
        found: list[Verdict] = []
        for sweep in sweeps:
            cases = await _cases(sweep, self.references, self.wanted)
            for case in cases:
                with suppress(trial.NoReference):  # each of its cases will say so
                    await self.references.of(case.story)
            for fault in dict.fromkeys(case.name.partition("/")[0] for case in cases):
                met = [case for case in cases if case.name.startswith(f"{fault}/")]
                outage.expect(met, runs=len(met) * len(self.wanted.seeds))
                places = asyncio.Semaphore(len(met) * len(self.wanted.seeds))
                async with asyncio.TaskGroup() as group:
                    tasks = [
                        group.create_task(self._one(sweep, case, seed, places))
                        for case in met
                        for seed in self.wanted.seeds
                    ]
                found += [task.result() for task in tasks]
        return found

    async def _one(self, sweep: Sweep, case: Trial, seed: int, slots: asyncio.Semaphore) -> Verdict:
        verdict = await _judged(sweep.letter, case, seed, self.references, slots)
        self.told(verdict)
        return verdict


async def _judged(
    sweep: str, case: Trial, seed: int, references: References, slots: asyncio.Semaphore
) -> Verdict:
    try:
        # Before a slot is taken: the reference needs some itself.
        reference = NOTHING if case.by_itself else await references.of(case.story)
    except trial.NoReference as exc:
        return Verdict(sweep, case.name, seed, (str(exc),))
    async with slots:
        try:
            return await trial.run(references.rig, reference, sweep, case, seed=seed)
        except Exception as exc:  # noqa: BLE001 -- one broken case must not end the others
            return Verdict(sweep, case.name, seed, (f"the case broke: {exc!r}",))


async def _cases(sweep: Sweep, references: References, wanted: Wanted) -> list[Trial]:
    cases = await sweep.trials(references, wanted.cases)
    beginnings = tuple(wanted.cases) or ("",)
    found = [case for case in cases if case.name.startswith(beginnings)]
    if found and wanted.rest:
        found[0] = replace(found[0], rest_s=trial.REST_S)
    return found
