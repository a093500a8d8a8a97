"""Runs beside a cluster's nodes: `ping.py ADDRESS COUNT` prints one JSON list of round trips.

Each is in seconds, or null when nothing came back within the limit. The standard library only,
and no `ping` of the machine's, whose output differs from one to the next.
"""

import json
import os
import socket
import struct
import sys
import time

INTERVAL_S = 0.01
LIMIT_S = 2.0
ECHO_REQUEST = 8


def main(address: str, count: int) -> list[float | None]:
    """Send echo requests at a steady rate, then collect for a while what is still on its way."""
    mine = os.getpid() & 0xFFFF
    sent: dict[int, float] = {}
    trips: list[float | None] = [None] * count
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.setblocking(False)
        for number in range(count):
            sent[number] = time.monotonic()
            raw.sendto(request(mine, number), (address, 0))
            collect(raw, mine, sent, trips, until=sent[number] + INTERVAL_S)
        collect(raw, mine, sent, trips, until=time.monotonic() + LIMIT_S)
    return trips


def collect(
    raw: socket.socket,
    mine: int,
    sent: dict[int, float],
    trips: list[float | None],
    *,
    until: float,
) -> None:
    """Note the replies that arrive until then, or until all have."""
    while None in trips and (left := until - time.monotonic()) > 0:
        raw.settimeout(left)
        try:
            packet = raw.recv(2048)
        except TimeoutError:
            return
        kind, _, _, owner, number = struct.unpack("!BBHHH", packet[20:28])
        if (kind, owner) == (0, mine):
            trips[number] = time.monotonic() - sent[number]


def request(owner: int, number: int) -> bytes:
    """Return an ICMP echo request with its checksum."""
    words = (ECHO_REQUEST << 8, owner, number)
    total = sum(words)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return struct.pack("!BBHHH", ECHO_REQUEST, 0, checksum, owner, number)


if __name__ == "__main__":
    json.dump(main(sys.argv[1], int(sys.argv[2])), sys.stdout)
