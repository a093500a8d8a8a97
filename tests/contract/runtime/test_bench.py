"""The speed benchmark's parts, for a moment each: what measures the runtime has to be right."""

import asyncio
import json

from bench import client, processes, runtime_config, runtime_streams


def test_the_client_measures_a_loop_a_pace_and_streams() -> None:
    """Every answer is counted, and so is every chunk of every stream."""
    body = runtime_config.question("hello")
    talk = {"answers": {"default": runtime_streams.TEXT, "latency": {"perTokenSeconds": 0.002}}}
    with processes.simulator(talk) as (port, pid):
        order = client.Order(port, body, sessions=10, seconds=0.2)
        streamed = client.at(
            order, body=body | {"stream": True}, mode="streams", in_flight=5, ramp_s=0.1
        )
        cut = client.at(streamed, body=streamed.body | {"max_tokens": 60}, in_flight=1)
        closed, cpu_us = client.measure_with_cpu(client.at(order, in_flight=40), pid)
        paced = client.measure(client.at(order, mode="open", per_second=100))
        streams, shortened = client.measure(streamed), client.measure(cut)
    assert (closed.bad, closed.p50 > 100) == (0, True)
    assert cpu_us > 0
    assert (paced.bad, 15 <= paced.answered <= 70) == (0, True)
    assert (streams.answered, streams.bad, streams.lost, streams.held) == (5, 0, 0, 5)
    assert shortened.lost == 8  # four chunks of each of two streams


def test_a_server_that_refuses_is_no_fast_server() -> None:
    """Answers other than 200 are counted apart, in no latency."""
    refusal = {"rules": [{"fault": {"kind": "status", "status": 503}}]}
    with processes.simulator(refusal) as (port, _):
        found = client.measure(client.Order(port, runtime_config.question(), seconds=0.1))
    assert (found.answered, found.bad > 0, found.p99) == (0, True, float("inf"))


def test_a_session_follows_the_other() -> None:
    """Requests name their sessions in turn, so that none waits for another."""
    requests = client.Requests(client.Order(1, {}, {"a": "b"}, sessions=2))
    names = [requests.next().split(b"x-session-id: ")[1].split(b"\r\n")[0] for _ in range(3)]
    assert names[0] == names[2] != names[1]


def test_a_stream_counts_texts_only() -> None:
    """Neither the role nor the usage is a chunk of the answer."""
    events = [
        {"choices": [{"delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"delta": {"content": "hello"}}]},
        {"choices": [], "usage": {}},
    ]
    data = b"".join(
        b"data: " + json.dumps(e, separators=(",", ":")).encode() + b"\n\n" for e in events
    )

    async def read() -> client.Connection:
        connection = client.Connection()
        for at in range(0, len(data), 7):
            connection.on_body(data[at : at + 7])
        connection.on_body(b"data: [DONE]\n\n")
        return connection

    found = asyncio.run(read())
    assert (found.frames, found.ended) == (1, True)
