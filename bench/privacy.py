"""What looking for personal data costs: per KB of a text, and per chunk of a stream.

Clean texts are what nearly all traffic is; the one with hits is an address list, the worst that
people send. The scanner's memory of clean texts is left out.
"""

from __future__ import annotations

import argparse
import functools
import re
import time
from collections.abc import Callable, Iterator

from agent_runtime.guard.pii.detector import Detector
from agent_runtime.guard.pii.kinds import LABELS, Kind, Policy, Rule
from agent_runtime.guard.pii.placeholders import Placeholders
from agent_runtime.guard.pii.streams import Redaction
from bench import report

SAMPLES = 7
ROUNDS = 200
KB = 1024
SECRET = b"a secret of thirty-two characters"[:32]
TEXTS = {
    "English prose": "The quick brown fox jumps over the lazy dog and then sleeps in the sun. ",
    "Chinese prose": "今天的会议改到下午三点。请大家准时参加。谢谢各位的理解与支持。",
    "numbers and code": "x = f(12.5, 'a1'); order 20261105 costs $1,299.00 at 12:30 in v1.2.3. ",
    "an address list": "bob@example.com, 13800138000, 4111 1111 1111 1111; ",
}
_DIGITS_AND_AT = re.compile("[0-9@:]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no options: it takes seconds."""


def run(_options: argparse.Namespace) -> Iterator[report.Table]:
    """Yield both tables."""
    detector = Detector({k: Rule(k.value, LABELS[k], Policy.MASK) for k in Kind})
    rows = []
    for name, sentence in TEXTS.items():
        text = (sentence * KB)[:KB].encode()[:KB].decode(errors="ignore")
        beside = _median_us(functools.partial(_DIGITS_AND_AT.findall, text))
        samples = [_us(functools.partial(_redact, detector, [text])) for _ in range(SAMPLES)]
        what = f"1 KB of {name}"
        rows.append(report.row(what, "us", samples, compared_with=f"{beside:.0f} re.findall"))
    yield report.Table("Looking for personal data", "all six kinds, one thread", tuple(rows))
    words = [word + " " for word in TEXTS["English prose"].split()]
    samples = [
        _us(functools.partial(_redact, detector, words)) / len(words) for _ in range(SAMPLES)
    ]
    one = report.row("one chunk of a word", "us", samples)
    yield report.Table("Looking for personal data in a stream", "English prose", (one,))


def _redact(detector: Detector, pieces: list[str]) -> None:
    redaction = Redaction(detector, Placeholders(SECRET).put)
    for piece in pieces:
        redaction.feed(piece)
    redaction.end()


def _median_us(work: Callable[[], object]) -> float:
    return sorted(_us(work) for _ in range(SAMPLES))[SAMPLES // 2]


def _us(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(ROUNDS):
        work()
    return (time.perf_counter() - began) / ROUNDS * 1e6
