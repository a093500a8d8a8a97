"""A fixed sample of the chaos cases, for every run of the tests; `make chaos` runs all of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.chaos import runner

SAMPLE = {
    "create/9/after": "a crash in the middle of a creation",
    "image/2/before": "a crash before the second write of an edit",
    "recreate/midway": "a stale view, while another uid bears the name",
    "there-and-back/lost": "changes that nobody observed",
}


def test_a_sample_of_crashes_stale_views_and_unobserved_changes_ends_well(
    kubeconfig: str, tmp_path: Path
) -> None:
    wanted = runner.Wanted(sweeps="abc", cases=tuple(SAMPLE), rest=False)
    verdicts = asyncio.run(runner.run(Path(kubeconfig), tmp_path, wanted, told=lambda _: None))
    assert {verdict.case for verdict in verdicts} == set(SAMPLE)
    assert [(v.case, v.wrong) for v in verdicts if not v.passed] == []
