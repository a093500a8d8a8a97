"""How model endpoints are spoken to: connections are kept, never shared, and never trusted."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent_runtime.providers import connections, exchange
from agent_runtime.providers.connections import Connections, Place
from agent_runtime.providers.exchange import Lost, Response, Unreachable

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


class Endpoint:
    """A server that says what a test wants; counts its connections."""

    def __init__(self, port: int) -> None:
        self.place = Place("127.0.0.1", port, tls=False)
        self.connections = 0
        self.gone = asyncio.Event()

    async def ask(self, http: Connections) -> Response:
        return await http.ask(self.place, b"POST / HTTP/1.1\r\n\r\n", connect_s=5)


@asynccontextmanager
async def endpoint(
    *answers: bytes,
    after: Callable[[asyncio.StreamWriter], None] = lambda _: None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Endpoint]:
    """Serve: each request on a connection gets the next of the answers; then `after` is called."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.connections += 1
        for answer in answers:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            writer.write(answer)
            after(writer)
        writer.close()
        found.gone.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        found = Endpoint(server.sockets[0].getsockname()[1])
        yield found


async def whole(response: Response) -> bytes:
    """Read an answer to its end, and let go of it."""
    try:
        parts = []
        while part := await response.piece():
            parts.append(part)
        return b"".join(parts)
    finally:
        response.release()


async def test_a_connection_is_used_again_when_its_answer_was_read_to_the_end() -> None:
    async with endpoint(OK, OK) as remote, aclosing(Connections()) as http:
        assert [await whole(await remote.ask(http)) for _ in range(2)] == [b"hi", b"hi"]
        assert remote.connections == 1


async def test_two_requests_at_a_time_never_share_a_connection() -> None:
    async with endpoint(OK) as remote, aclosing(Connections()) as http:
        first, second = await remote.ask(http), await remote.ask(http)
        assert (await whole(second), await whole(first)) == (b"hi", b"hi")
        assert remote.connections == 2


async def test_a_connection_whose_answer_was_given_up_is_closed() -> None:
    half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi"
    async with endpoint(half, OK) as remote, aclosing(Connections()) as http:
        response = await remote.ask(http)
        assert await response.piece() == b"hi"
        response.release()
        await asyncio.wait_for(remote.gone.wait(), 5)


async def test_a_kept_connection_that_was_closed_meanwhile_costs_no_request() -> None:
    async with endpoint(OK) as remote, aclosing(Connections()) as http:
        for _ in range(3):  # the server closes after each answer, without saying so
            assert await whole(await remote.ask(http)) == b"hi"
        assert remote.connections == 3


async def test_a_request_is_not_sent_again_when_a_new_connection_is_lost() -> None:
    async with endpoint(b"") as remote, aclosing(Connections()) as http:
        with pytest.raises(Lost):
            await remote.ask(http)
        assert remote.connections == 1


async def test_a_request_is_not_sent_again_once_a_byte_was_heard() -> None:
    async with endpoint(OK, b"HTTP/1.1 2") as remote, aclosing(Connections()) as http:
        assert await whole(await remote.ask(http)) == b"hi"
        with pytest.raises(Lost):
            await remote.ask(http)
        assert remote.connections == 1


async def test_connection_close_is_honoured() -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    async with endpoint(closing, OK) as remote, aclosing(Connections()) as http:
        assert [await whole(await remote.ask(http)) for _ in range(2)] == [b"hi", b"hi"]
        assert remote.connections == 2


async def test_an_interim_answer_is_not_the_answer() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK
    async with endpoint(early) as remote, aclosing(Connections()) as http:
        response = await remote.ask(http)
        assert (response.status, response.headers) == (200, {"content-length": "2"})
        assert await whole(response) == b"hi"


async def test_chunks_and_a_trailer_are_read() -> None:
    chunked = (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nX-A: 1\r\n\r\n"
        b"1\r\nh\r\n1\r\ni\r\n0\r\nx-a: 2\r\n\r\n"
    )
    async with endpoint(chunked, OK) as remote, aclosing(Connections()) as http:
        response = await remote.ask(http)
        assert (await whole(response), response.headers["x-a"]) == (b"hi", "1")
        assert await whole(await remote.ask(http)) == b"hi"
        assert remote.connections == 1


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    async with endpoint(b"HTTP/1.1 200 OK\r\n\r\nhi") as remote, aclosing(Connections()) as http:
        assert await whole(await remote.ask(http)) == b"hi"


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\nno number\r\n",
    ],
)
async def test_a_body_that_breaks_off_is_never_taken_for_a_whole_one(cut: bytes) -> None:
    async with endpoint(cut) as remote, aclosing(Connections()) as http:
        response = await remote.ask(http)
        with pytest.raises(Lost):
            await whole(response)


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 101 Switching\r\n\r\n"])
async def test_what_is_no_answer_ends_the_request(said: bytes) -> None:
    async with endpoint(said) as remote, aclosing(Connections()) as http:
        with pytest.raises(Lost):
            await remote.ask(http)


async def test_a_head_without_end_is_given_up() -> None:
    line = b"x-a: " + b"a" * 1000 + b"\r\n"
    endless = b"HTTP/1.1 200 OK\r\n" + line * (exchange.MAX_HEAD_BYTES // 1000 + 1) + b"\r\n"
    async with endpoint(endless) as remote, aclosing(Connections()) as http:
        with pytest.raises(Lost):
            await remote.ask(http)


async def test_what_comes_unasked_is_no_answer_to_the_next_request() -> None:
    """Whoever could put an answer into a kept connection would answer somebody else's question."""
    both = OK + OK.replace(b"hi", b"no")
    async with endpoint(both, OK) as remote, aclosing(Connections()) as http:
        assert [await whole(await remote.ask(http)) for _ in range(2)] == [b"hi", b"hi"]
        assert remote.connections == 2


async def test_a_body_that_nobody_reads_is_not_read_ahead() -> None:
    size = 40 * exchange.HIGH_WATER_BYTES
    big = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (size, b"a" * size)
    written: list[asyncio.StreamWriter] = []
    async with endpoint(big, after=written.append) as remote, aclosing(Connections()) as http:
        response = await remote.ask(http)
        await asyncio.sleep(0.2)
        assert written[0].transport.get_write_buffer_size() > size // 4
        assert len(await whole(response)) == size


async def test_nobody_there_is_told_as_such() -> None:
    async with endpoint(OK) as remote:
        place = remote.place
    async with aclosing(Connections()) as http:
        with pytest.raises(Unreachable):
            await http.ask(place, b"", connect_s=5)


async def test_a_connection_nobody_uses_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.05)
    async with endpoint(OK, OK) as remote, aclosing(Connections()) as http:
        assert await whole(await remote.ask(http)) == b"hi"
        await asyncio.wait_for(remote.gone.wait(), 5)


def shown_by(folder: Path, name: str) -> ssl.SSLContext:
    """Return what shows a certificate for a name; it is its own authority, in `folder`/tls.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    day = timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - day)
        .not_valid_after(datetime.now(UTC) + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "tls.pem").write_bytes(private + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem")
    return context


async def test_over_tls_the_endpoint_must_be_who_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = shown_by(tmp_path, "localhost")
    async with endpoint(OK, tls=context) as remote:
        remote.place = Place("localhost", remote.place.port, tls=True)
        async with aclosing(Connections()) as http:
            with pytest.raises(Unreachable):  # an authority that nobody knows
                await remote.ask(http)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls.pem"))
        async with aclosing(Connections()) as http:
            assert await whole(await remote.ask(http)) == b"hi"
            remote.place = Place("127.0.0.1", remote.place.port, tls=True)
            with pytest.raises(Unreachable):  # another name
                await remote.ask(http)


@pytest.mark.parametrize(
    ("url", "place", "head"),
    [
        ("http://a/v1/x", Place("a", 80, tls=False), b"POST /v1/x HTTP/1.1\r\nhost: a\r\n"),
        ("https://a:8/x?b=1", Place("a", 8, tls=True), b"POST /x?b=1 HTTP/1.1\r\nhost: a:8\r\n"),
        ("https://[::1]/x", Place("::1", 443, tls=True), b"POST /x HTTP/1.1\r\nhost: [::1]\r\n"),
        ("http://a/b c", Place("a", 80, tls=False), b"POST /b%20c HTTP/1.1\r\nhost: a\r\n"),
        ("http://a/b%2Fc", Place("a", 80, tls=False), b"POST /b%2Fc HTTP/1.1\r\nhost: a\r\n"),
    ],
)
def test_an_address_is_what_its_url_says(url: str, place: Place, head: bytes) -> None:
    found = connections.address_of(url)
    assert (found.place, found.head) == (place, head)
