"""What `agentsystem chat` sends and shows."""

from __future__ import annotations

import threading

import pytest

from agentsystem_cli import chat, cluster
from tests.unit.cli.apiserver import Apiserver, Reply, failure, stream
from tests.unit.cli.conftest import Run

PATH = "/api/v1/namespaces/shop/services/promptx:http/proxy/v1/chat/completions"
NOT_SHARED = failure(400, "set spec.memory.sessions.store", "sessions_not_shared")


def user(text: str) -> dict[str, str]:
    """A message of the user."""
    return {"role": "user", "content": text}


def test_one_message_prints_the_answer_and_ends(fake: Apiserver, run: Run) -> None:
    fake.replies = [stream("Nice ", "to ", "meet you.")]

    result = run("chat", "promptx", "--message", "Hello", "--session", "s1", "--agent", "poet")

    assert (result.exit_code, result.output) == (0, "Nice to meet you.\n")
    body = {"messages": [user("Hello")], "stream": True, "model": "poet"}
    assert fake.chats == [(PATH, body, "s1")]


def test_words_are_passed_on_before_the_answer_is_complete(fake: Apiserver) -> None:
    gate, whole = threading.Event(), stream("first ", "second").body
    cut = whole.index(b"second") - 20
    fake.replies = [Reply(body=whole[:cut], rest=whole[cut:], gate=gate)]
    where = cluster.connect(str(fake.kubeconfig), None, None)

    pieces = chat.Conversation(where, "promptx", agent=None, session="s").send("Hello")
    first = next(pieces)
    gate.set()

    assert [first, *pieces] == ["first ", "second"]


def test_a_conversation_keeps_its_session_and_sends_only_what_is_new(
    fake: Apiserver, run: Run
) -> None:
    fake.replies = [stream("A"), stream("B")]

    result = run("chat", "promptx", said="one\n\ntwo\n/quit\nthree\n")

    assert result.output == "A\nB\n"
    assert [body["messages"] for _, body, _ in fake.chats] == [[user("one")], [user("two")]]
    sessions = {session for *_, session in fake.chats}
    assert len(sessions) == 1
    assert (sessions.pop() or "").startswith("chat-")


def test_where_sessions_are_not_shared_the_whole_history_is_sent(fake: Apiserver, run: Run) -> None:
    fake.replies = [NOT_SHARED, stream("A"), stream("B")]

    result = run("chat", "promptx", said="one\ntwo\n")

    assert result.output == "A\nB\n"
    (_, _, first), *rest = fake.chats
    assert first
    assert [(body["messages"], session) for _, body, session in rest] == [
        ([user("one")], None),
        ([user("one"), {"role": "assistant", "content": "A"}, user("two")], None),
    ]


def test_a_failed_message_is_explained_and_the_talk_goes_on(fake: Apiserver, run: Run) -> None:
    fake.replies = [failure(503, "provider openai: key missing"), stream("B")]

    result = run("chat", "promptx", said="one\ntwo\n")

    assert "promptx answered 503: provider openai: key missing" in result.output
    assert result.stdout == "B\n"
    assert fake.chats[-1][1]["messages"] == [user("two")]


def test_an_answer_without_an_end_is_a_failure(fake: Apiserver, run: Run) -> None:
    fake.replies = [stream("half", done=False)]

    result = run("chat", "promptx", "-m", "one")

    assert result.exit_code == 1
    assert "broke off" in result.stderr


def test_an_error_inside_the_stream_is_a_failure(fake: Apiserver, run: Run) -> None:
    fake.replies = [Reply(body=b'data: {"error": {"message": "provider lost"}}\n\n')]

    result = run("chat", "promptx", "-m", "one")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "broke off: provider lost" in result.stderr


def test_no_ready_pod_points_to_status(fake: Apiserver, run: Run) -> None:
    fake.replies = [Reply(503, b'{"message": "no endpoints available for service \\"promptx\\""}')]

    assert "`agentsystem status promptx` says why" in run("chat", "promptx", "-m", "x").stderr


def test_a_missing_service_and_a_missing_right_are_explained(fake: Apiserver, run: Run) -> None:
    fake.replies = [
        Reply(404, b'{"message": "services \\"promptx\\" not found"}'),
        Reply(403, b'{"message": "services \\"promptx:http\\" is forbidden"}'),
    ]

    assert "no Service 'promptx' here" in run("chat", "promptx", "-m", "x").stderr
    assert "services/proxy" in run("chat", "promptx", "-m", "x").stderr


@pytest.mark.parametrize("body", [b"data: {no json\n\n", b"data: 7\n\n", b'data: {"choices": [7]}'])
def test_what_is_no_stream_of_an_agent_is_explained(fake: Apiserver, run: Run, body: bytes) -> None:
    fake.replies = [Reply(body=body)]

    result = run("chat", "promptx", "-m", "one")

    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "broke off" in result.stderr


def test_a_piece_that_came_before_the_break_keeps_its_own_line(fake: Apiserver, run: Run) -> None:
    fake.replies = [stream("half", done=False)]

    result = run("chat", "promptx", "-m", "one")

    assert result.stdout == "half\n"


@pytest.mark.parametrize("session", ["日本", "a\nb", "", "a b"])
def test_a_session_that_cannot_be_one_is_refused_before_anything_is_sent(
    fake: Apiserver, run: Run, session: str
) -> None:
    result = run("chat", "promptx", "-m", "one", "--session", session)

    assert (result.exit_code, fake.chats) == (2, [])
    assert "--session" in result.stderr
