"""The cluster's keys are read when they are needed, and hardly ever again."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from agentsystem_operator import ports
from agentsystem_operator.adapters import key_set
from agentsystem_operator.adapters.channel.cluster_keys import (
    DISCOVERY_PATH,
    FRESH_S,
    LOOK_EVERY_S,
    ClusterKeys,
)
from tests.contract.channel.rig import encoded
from tests.fakes.clock import FakeClock
from tests.fakes.virtual_time import virtual

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
EC = ec.generate_private_key(ec.SECP256R1()).public_key()


def jwk(kid: str, key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        n, e = (encoded(x.to_bytes((x.bit_length() + 7) // 8)) for x in (numbers.n, numbers.e))
        return {"kty": "RSA", "kid": kid, "n": n, "e": e, "alg": "RS256", "use": "sig"}
    point = key.public_numbers()
    x, y = (encoded(value.to_bytes(32)) for value in (point.x, point.y))
    return {"kty": "EC", "kid": kid, "crv": "P-256", "x": x, "y": y}


class Api:
    """Answers as an apiserver does."""

    def __init__(self) -> None:
        self.keys: list[Any] = [jwk("one", RSA)]
        self.asked: list[str] = []
        self.fault: ports.ClusterError | None = None

    async def call(self, verb: str, path: str, *, kind: str, accept: str) -> bytes:
        assert (verb, kind, accept) == ("get", "JWKS", "*/*")
        self.asked.append(path)
        await asyncio.sleep(0.1)
        if self.fault:
            raise self.fault
        document = {key_set.PATH: {"keys": self.keys}, DISCOVERY_PATH: {"issuer": "https://me"}}
        return orjson.dumps(document[path])


def keys(api: Api) -> ClusterKeys:
    return ClusterKeys(api, clock=FakeClock())  # type: ignore[arg-type]  # all that is used of it


@virtual
async def test_keys_are_read_once_for_a_thousand_pods() -> None:
    api = Api()
    known = keys(api)
    found = await asyncio.gather(*(known.find("one") for _ in range(1_000)))

    assert all(key == RSA for key in found)
    assert await known.issuer() == "https://me"
    assert api.asked == [key_set.PATH, DISCOVERY_PATH]


@virtual
async def test_an_unknown_key_is_looked_for_at_most_once_in_ten_seconds() -> None:
    api = Api()
    known = keys(api)
    await known.find("one")
    for number in range(1_000):
        assert await known.find(f"made-up-{number}") is None
    assert len(api.asked) == 2

    api.keys.append(jwk("two", EC))
    await asyncio.sleep(LOOK_EVERY_S)
    assert await known.find("two") == EC
    assert len(api.asked) == 4


@virtual
async def test_a_key_that_was_withdrawn_is_forgotten_within_a_day() -> None:
    api = Api()
    known = keys(api)
    await known.find("one")
    api.keys = [jwk("two", EC)]
    await asyncio.sleep(FRESH_S + 1)

    assert await known.find("one") is None


@virtual
async def test_known_keys_outlive_an_outage_and_unknown_ones_are_doubt() -> None:
    api = Api()
    known = keys(api)
    api.fault = ports.ClusterUnreachable("timeout")
    for _ in range(3):
        with pytest.raises(ports.ClusterUnreachable):
            await known.find("one")
    assert len(api.asked) == 1
    api.fault = None
    await asyncio.sleep(LOOK_EVERY_S)
    assert await known.find("one") == RSA

    api.fault = ports.ClusterUnreachable("timeout")
    await asyncio.sleep(FRESH_S + 1)
    assert await known.find("one") == RSA


@virtual
async def test_what_is_no_usable_key_is_passed_over() -> None:
    api = Api()
    api.keys += [{"kty": "oct", "kid": "s"}, {"kty": "EC", "kid": "c", "crv": "P-1"}]
    api.keys += [{"kty": "RSA", "kid": "r", "n": "!", "e": ""}]
    known = keys(api)

    assert await known.find("one") == RSA
    assert [await known.find(kid) for kid in ("s", "c", "r")] == [None] * 3
