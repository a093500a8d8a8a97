"""What lies outside of a cluster, in namespaces of its own: an internet of one server.

Run as a program it is that server: a page on an address of a documentation range, one on
loopback and one where clouds serve credentials, and a resolver on loopback that knows one name.
It ends with its input.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, UDPServer

from tests.devcluster.running import ROOT

ADDRESS, PORT = "198.51.100.10", 8080
NAME = "model.example"
METADATA = "169.254.169.254"
PAGE = "outside\n"

_WORLD = f"""
set -e
mount --bind "$1" "$(readlink -f /etc/resolv.conf)"
ip link set lo up
ip addr add {ADDRESS}/32 dev lo
ip addr add {METADATA}/32 dev lo
eval "$2"
exec "$3" -m tests.devcluster.outside
"""
_asked: list[str] = []


@contextmanager
def world(folder: Path, prepare: str = "") -> Iterator[tuple[str, ...]]:
    """Yield the command that runs another one there, once the server answers."""
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\n")
    command = ["unshare", "--net", "--mount", "sh", "-c", _WORLD, "sh", str(resolver)]
    process = subprocess.Popen(
        [*command, prepare, sys.executable],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        yield ("nsenter", "-t", str(process.pid), "--net", "--mount", f"--wdns={ROOT}", "--")
    finally:
        process.kill()
        process.communicate()


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(_asked) if self.path == "/asked" else PAGE
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
        pass


class _Resolver(BaseRequestHandler):
    """Knows the IPv4 address of NAME and the existence of nothing else."""

    def handle(self) -> None:
        query, reply = self.request
        end = 12 + query[12:].index(0) + 1
        name, at = "", 12
        while query[at]:
            name += query[at + 1 : at + 1 + query[at]].decode() + "."
            at += 1 + query[at]
        _asked.append(name.rstrip("."))
        known = name == f"{NAME}."
        wants_ipv4 = query[end : end + 2] == b"\0\1"
        count = b"\0\1" if known and wants_ipv4 else b"\0\0"
        flags = b"\x81\x80" if known else b"\x81\x83"
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes(map(int, ADDRESS.split(".")))
        head = query[:2] + flags + b"\0\1" + count + b"\0\0\0\0"
        body = query[12 : end + 4] + (answer if count == b"\0\1" else b"")
        reply.sendto(head + body, self.client_address)


def main() -> None:
    servers = [ThreadingHTTPServer((to, PORT), _Page) for to in (ADDRESS, METADATA, "127.0.0.1")]
    for server in (*servers, UDPServer(("127.0.0.1", 53), _Resolver)):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write("serving\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
