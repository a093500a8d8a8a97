"""How much one pod may take of the operator: a flood costs the others nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

from tests.contract.channel import rig
from tests.contract.channel.rig import Signer

REPORT = {"type": "report", "load": {"inFlight": 1}}


async def test_a_flood_from_one_pod_is_held_to_its_pace_and_delays_no_other(
    signer: Signer,
) -> None:
    async with (
        rig.operator(signer, lines_per_s=4.0, lines_burst=8) as operator,
        rig.pod(operator) as loud,
        rig.pod(operator) as quiet,
    ):
        await loud.greet(signer.token(pod="loud"))
        await quiet.greet(signer.token(pod="quiet"))
        flood = asyncio.create_task(_flood(loud))
        delays, began = [], time.monotonic()
        for _ in range(6):
            sent = time.monotonic()
            quiet.say(REPORT)
            await _one_more(operator, "quiet")
            delays.append(time.monotonic() - sent)
            await asyncio.sleep(0.15)
        flood.cancel()

        assert sorted(delays)[3] < 0.5
        took = time.monotonic() - began
        assert 8 <= _of(operator, "loud") <= 8 + 4 * (took + 1)
        # What was not taken waits on the pod's own side: the operator holds next to nothing of it.
        assert loud.writer.transport.get_write_buffer_size() > 0


async def _flood(pod: rig.Pod) -> None:
    lines = b"\n".join([json.dumps(REPORT).encode()] * 300)
    with contextlib.suppress(ConnectionError):
        while True:
            pod.say(lines)
            await pod.writer.drain()


async def _one_more(operator: rig.Operator, pod: str) -> None:
    before = _of(operator, pod)
    await operator.ear.until(lambda: _of(operator, pod) > before)


def _of(operator: rig.Operator, pod: str) -> int:
    return sum(speaker.pod == f"uid-{pod}" for speaker, _, _ in operator.ear.reports)


async def test_a_pod_has_one_connection(signer: Signer) -> None:
    async with (
        rig.operator(signer) as operator,
        rig.pod(operator) as first,
        rig.pod(operator) as second,
    ):
        await first.greet(signer.token())
        assert await second.greet(signer.token()) == {"type": "welcome", "channel": "v1.0"}

        assert await first.hear() == {"type": "refused", "reason": "Replaced"}
        second.say(REPORT)
        await operator.ear.until(lambda: bool(operator.ear.reports))
        assert len(operator.desk.proved) == 1


async def test_whoever_does_not_say_who_it_is_is_let_go(signer: Signer) -> None:
    async with rig.operator(signer, prove_s=0.2) as operator, rig.pod(operator) as pod:
        assert await pod.hear() == {"type": "refused", "reason": "TooSlow"}
        assert await pod.hear() is None


async def test_who_connects_without_a_handshake_is_let_go(signer: Signer) -> None:
    async with rig.operator(signer, prove_s=0.2) as operator:
        reader, writer = await asyncio.open_connection("127.0.0.1", operator.port)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


async def test_who_speaks_no_tls_is_let_go_at_once(signer: Signer) -> None:
    async with rig.operator(signer) as operator:
        reader, writer = await asyncio.open_connection("127.0.0.1", operator.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(1):
            while await reader.read(1024):
                pass  # an alert, then the end
        writer.close()


async def test_a_silent_connection_is_ended(signer: Signer) -> None:
    """Half open: the pod is gone without a word, and the operator notices by itself."""
    async with rig.operator(signer, silence_s=0.5) as operator, rig.pod(operator) as pod:
        await pod.greet(signer.token())
        assert len(operator.desk.open) == 1

        assert await pod.hear() is None
        await asyncio.sleep(0)
        assert (operator.desk.open, operator.desk.proved) == (set(), {})


async def test_too_many_connections_from_one_address_are_refused_without_a_handshake(
    signer: Signer,
) -> None:
    async with (
        rig.operator(signer, opened_per_s=0.1, opened_burst=2) as operator,
        rig.pod(operator),
        rig.pod(operator),
    ):
        with contextlib.suppress(OSError):  # cut off before the handshake had ended
            async with rig.pod(operator) as third:
                assert await third.hear() is None
        assert operator.ear.refused == ["Busy"]


async def test_connections_that_prove_nothing_leave_room_for_those_that_do(signer: Signer) -> None:
    async with rig.operator(signer, unproved=2, prove_s=0.5) as operator:
        idle = [await asyncio.open_connection("127.0.0.1", operator.port) for _ in range(5)]
        await asyncio.sleep(1.7)  # those that were let in have had their time
        async with rig.pod(operator) as pod:
            assert await pod.greet(signer.token()) == {"type": "welcome", "channel": "v1.0"}
        for _, writer in idle:
            writer.close()


async def test_what_a_pod_does_not_read_is_not_collected_for_it(signer: Signer) -> None:
    """Each key update asks for an answer: a pod that reads none of them is let go."""
    async with rig.operator(signer) as operator, rig.pod(operator) as pod:
        await pod.greet(signer.token())
        (session,) = operator.desk.open
        session._link._transport.pause_reading()  # type: ignore[union-attr]
        for _ in range(3_000):
            session._link.send(b"x" * 4_000)
            if not operator.desk.open:
                break
            await asyncio.sleep(0)

        assert operator.desk.open == set()
