"""Runs inside a pod: `client.py URL PER_SECOND SECONDS`; prints `started`, then one JSON line.

A new connection per request, so that each is balanced anew; each failure is tried once more, a
while later. Bounded: PER_SECOND * SECONDS requests, 10 s each; SIGTERM ends the sending sooner.
"""

import http.client
import json
import signal
import sys
import threading
import time
import urllib.request

BODY = json.dumps({"messages": [{"role": "user", "content": "hello"}]}).encode()
TIMEOUT_S = 10
# Until a dead pod is out of the way a retry meets it half the time. Kubernetes takes up to 2 s: the
# kubelet looks at its containers once a second, and kube-proxy writes its rules at most as often.
RETRY_AFTER_S = 3.0
FAILED = (OSError, ValueError, LookupError, http.client.HTTPException)


class Tally:
    """What went wrong, and when."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.failures: list[tuple[float, str]] = []
        self.lost = 0


def ask(url: str) -> None:
    """Send one request; raises on anything but a complete good answer."""
    request = urllib.request.Request(url, BODY, {"Content-Type": "application/json"})  # noqa: S310 - our Service
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 - as above
        answer = json.load(response)
    if not answer["choices"][0]["message"]["content"]:
        raise ValueError("empty answer")


def ask_twice(url: str, tally: Tally) -> None:
    """Send one request, and once more when it failed."""
    at = time.time()
    try:
        ask(url)
    except FAILED as first:
        with tally.lock:
            tally.failures.append((at, f"{type(first).__name__}: {first}"))
        time.sleep(RETRY_AFTER_S)
        try:
            ask(url)
        except FAILED:
            with tally.lock:
                tally.lost += 1


def wait_for_first(url: str) -> None:
    """Return after the first good answer, or after 20 s without one."""
    for _ in range(100):
        try:
            ask(url)
        except FAILED:
            time.sleep(0.2)
        else:
            return


def main() -> None:
    """Wait for the first answer, then keep the rate."""
    enough = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: enough.set())
    url, per_second, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    wait_for_first(url)
    print("started", flush=True)
    tally, first_at, threads = Tally(), time.time(), []
    for number in range(per_second * seconds):
        if enough.wait(max(0.0, first_at + number / per_second - time.time())):
            break
        thread = threading.Thread(target=ask_twice, args=(url, tally))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join(3 * TIMEOUT_S)
    report = {"sent": len(threads), "failures": tally.failures, "lost": tally.lost}
    print(json.dumps({**report, "first_at": first_at}), flush=True)


if __name__ == "__main__":
    main()
