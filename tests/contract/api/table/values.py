"""Addresses, durations and sizes, at their bounds and beyond."""

from typing import Any

from tests.contract.api.case import bad, good
from tests.contract.api.table.rules import WITH_ANTHROPIC, WITH_OPENAI

URL = "spec.providers[1].openAI.baseURL"
TIMEOUT = "spec.providers[1].openAI.timeout"
ANTHROPIC = "spec.providers[1].anthropic"
TTL = "spec.memory.sessions.ttl"
SIZE = "spec.memory.sessions.sqlite.size"


def _url(url: str) -> dict[str, Any]:
    return {**WITH_OPENAI, URL: url}


def _timeout(duration: object) -> dict[str, Any]:
    return {**WITH_OPENAI, TIMEOUT: duration}


def _ttl(duration: str) -> dict[str, Any]:
    return {"spec.memory.sessions": {"store": "Memory", "ttl": duration}}


def _size(size: object) -> dict[str, Any]:
    return {"spec.memory.sessions": {"store": "SQLite", "sqlite": {"size": size}}}


_GOOD_URLS = (
    "http://127.0.0.1:8000",
    "https://api.example.com/v1/",
    "http://models.shop.svc:8080/v1",
    "http://[2001:db8::1]:80/v1",
    "http://[::]",
    "https://example.com:65535",
)
_BAD_URLS = (
    "",
    "api.example.com",
    "ftp://example.com",
    "https://user:pw@example.com/v1",
    "https://example.com/v1?key=x",
    "https://example.com/#a",
    "https://example.com:65536",
    "https://example.com:0",
    "https://exa mple.com",
    "http://[1:2:3]",
    "http://[:::]",
    "http://[fe80::1%25eth0]",
    "https://example.com/\n",
)

_URLS = (
    *(good(f"base url {url}", _url(url)) for url in _GOOD_URLS),
    *(
        bad(f"base url {url!r}", _url(url), URL, says="must be http(s)://host[:port][/path]")
        for url in _BAD_URLS
    ),
)

_DURATIONS = (
    *(good(f"timeout {t}", _timeout(t)) for t in ("100ms", "10m", "1m30s", "0h5s", "50ms50ms")),
    *(
        bad(f"timeout {t}", _timeout(t), TIMEOUT, says="must be between 100ms and 10m")
        for t in ("99ms", "0s", "10m1ms", "999999h999999h99999h")
    ),
    *(
        bad(f"timeout {t!r}", _timeout(t), TIMEOUT)
        for t in ("", "30", "-5s", "1.5s", "5 s", "PT30S", "1d", 30, "1000000ms", "1s" * 11)
    ),
    *(good(f"ttl {ttl}", _ttl(ttl)) for ttl in ("1s", "8760h")),
    *(
        bad(f"ttl {ttl}", _ttl(ttl), TTL, says="must be between 1s and 8760h")
        for ttl in ("999ms", "8760h1s")
    ),
)

_SIZES = (
    *(good(f"size {size}", _size(size)) for size in ("1", "500M", "10Ti")),
    *(
        bad(f"size {size!r}", _size(size), SIZE)
        for size in ("0", "-1Gi", "abc", "1Gib", "1.5Gi", "", 5)
    ),
)

_ANTHROPIC = (
    good(
        "anthropic with everything",
        {
            **WITH_ANTHROPIC,
            f"{ANTHROPIC}.baseURL": "http://models.shop.svc:8080/v1",
            f"{ANTHROPIC}.timeout": "10m",
            f"{ANTHROPIC}.apiKeySecretRef": {"name": "keys", "key": "anthropic"},
        },
    ),
    bad(
        "anthropic with a query",
        {**WITH_ANTHROPIC, f"{ANTHROPIC}.baseURL": "https://api.example.com/v1?key=x"},
        f"{ANTHROPIC}.baseURL",
        says="for example https://api.anthropic.com/v1",
    ),
    bad(
        "anthropic with too short a timeout",
        {**WITH_ANTHROPIC, f"{ANTHROPIC}.timeout": "99ms"},
        f"{ANTHROPIC}.timeout",
        says="must be between 100ms and 10m",
    ),
)

CASES = (*_URLS, *_DURATIONS, *_SIZES, *_ANTHROPIC)
