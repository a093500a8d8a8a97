"""A fixed sample of the chaos cases, for every run of the tests; `make chaos` runs all of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos import runner

SAMPLE = {
    "create/9/after": "a crash in the middle of a creation",
    "image/2/before": "a crash before the second write of an edit",
    "recreate/midway": "a stale view, while another uid bears the name",
    "there-and-back/lost": "changes that nobody observed",
    "instructions/briefly": "three calls in ten fail for 20 s",
    "standing/Service-sys--front/changed": "each field of a Service changed by somebody else",
    "owner-removed/Service/deleted": "a child that is not ours any more",
    "chain/42": "five fields of the spec, set, unset and wrong",
}
LIMIT_S = 600
SETTLE_S = 90.0
"""Other stages run beside this one, and eight cases begin at once: what is promised of settling is
judged by `make chaos`, which has the machine to itself."""


@pytest.mark.timeout(LIMIT_S)
def test_a_sample_of_the_sweeps_ends_well(kubeconfig: str, tmp_path: Path) -> None:
    wanted = runner.Wanted(
        sweeps="abcdhi",
        cases=tuple(SAMPLE),
        parallel=len(SAMPLE),
        settle_s=SETTLE_S,
        rest=False,
    )
    verdicts = asyncio.run(runner.run(Path(kubeconfig), tmp_path, wanted, told=lambda _: None))
    assert {verdict.case for verdict in verdicts} == set(SAMPLE)
    wrong = [f"{each.case}: {'; '.join(each.wrong)}" for each in verdicts if not each.passed]
    if wrong:
        pytest.fail(" | ".join(wrong), pytrace=False)
