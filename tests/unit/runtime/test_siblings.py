"""A principal is believed from a sibling that proves to be one, and from nobody else."""

import base64
import time
from pathlib import Path

import pytest

from agent_runtime.guard import siblings, tokens
from agent_runtime.guard.principal import Principal, Priority, Role
from agent_runtime.guard.refusal import NotAdmitted, Refusal
from agent_runtime.guard.siblings import PRINCIPAL_HEADER, PROOF_HEADER, Believer, Voucher
from agent_runtime.guard.watched_file import WatchedFile
from tests.unit.runtime.credentials import FakeTime, Signer, account_token, key_set, written

CLUSTER = Signer("cluster")
ANN = Principal("ann é/1", "acme", frozenset({Role.CHAT}), Priority.VIP)
ACCOUNT = "shop:support--front"


def believer(folder: Path, *, clock: FakeTime | None = None) -> Believer:
    file = written(folder / "keys.json", key_set(CLUSTER))
    watched = WatchedFile(file, tokens.parse_key_set, what="keys", origin="ConfigMap 'x'")
    clocks = {"clock": clock} if clock else {}
    return Believer(watched, account="system:serviceaccount:shop:support--", **clocks)


async def vouched(folder: Path, token: str) -> dict[str, str]:
    file = written(folder / "token", token + "\n")
    return await Voucher(WatchedFile(file, siblings.parse_token, what="token", origin="x")).headers(
        ANN
    )


async def refusal_of(found: Believer, said: str | None, proof: str) -> Refusal:
    with pytest.raises(NotAdmitted) as caught:
        await found.principal_of(said, proof)
    return caught.value.refusal


async def test_what_a_sibling_says_arrives_as_it_was_said(tmp_path: Path) -> None:
    headers = await vouched(tmp_path, account_token(CLUSTER, ACCOUNT))
    found = believer(tmp_path)
    for _ in range(2):  # verified, then remembered
        said = await found.principal_of(headers[PRINCIPAL_HEADER], headers[PROOF_HEADER])
        assert said == ANN


async def test_without_a_token_of_its_own_nobody_vouches(tmp_path: Path) -> None:
    watched = WatchedFile(tmp_path / "none", siblings.parse_token, what="token", origin="x")
    assert await Voucher(watched).headers(ANN) == {}


@pytest.mark.parametrize(
    "proof",
    [
        "nonsense",
        account_token(CLUSTER, "shop:support"),
        account_token(CLUSTER, "shop:other--front"),
        account_token(CLUSTER, "other:support--front"),
        account_token(CLUSTER, "shop:support2--front"),
        account_token(CLUSTER, ACCOUNT, exp=int(time.time()) - 60),
        CLUSTER.token(sub=f"system:serviceaccount:{ACCOUNT}", aud="https://kubernetes.default.svc"),
        account_token(Signer("cluster", key=Signer("evil").private), ACCOUNT),
        account_token(Signer("evil"), ACCOUNT),
    ],
    ids=[
        "no token", "another account", "another system", "another namespace", "a longer name",
        "expired", "another audience", "signed by another", "key unknown",
    ],
)  # fmt: skip
async def test_any_other_proof_proves_nothing(tmp_path: Path, proof: str) -> None:
    headers = await vouched(tmp_path, proof)
    refusal = await refusal_of(believer(tmp_path), headers[PRINCIPAL_HEADER], proof)
    assert refusal is Refusal.SIBLING


@pytest.mark.parametrize(
    "said",
    [None, "", "!", "e30=", base64.urlsafe_b64encode(b'{"id": 1}').decode(), "x" * 100_000],
)
async def test_what_cannot_be_read_is_nobody(tmp_path: Path, said: str | None) -> None:
    proof = account_token(CLUSTER, ACCOUNT)
    assert await refusal_of(believer(tmp_path), said, proof) is Refusal.SIBLING


async def test_a_proof_is_not_remembered_for_longer_than_it_is_good(tmp_path: Path) -> None:
    clock = FakeTime(time.time())
    found = believer(tmp_path, clock=clock)
    proof = account_token(CLUSTER, ACCOUNT, exp=int(clock.now) + 60)
    said = (await vouched(tmp_path, proof))[PRINCIPAL_HEADER]
    assert await found.principal_of(said, proof) == ANN
    keys = await found._keys.current()
    assert found._proved.find(proof, keys, now=clock.now + 60) is not None
    assert found._proved.find(proof, keys, now=clock.now + 60 + siblings.SKEW_S) is None


async def test_while_the_cluster_s_keys_are_not_there_the_caller_shall_come_again(
    tmp_path: Path,
) -> None:
    watched = WatchedFile(tmp_path / "none", tokens.parse_key_set, what="keys", origin="x")
    found = Believer(watched, account="system:serviceaccount:shop:support--")
    with pytest.raises(NotAdmitted) as caught:
        await found.principal_of("e30=", account_token(CLUSTER, ACCOUNT))
    assert caught.value.refusal is Refusal.UNAVAILABLE
    assert caught.value.retry_after_s == 5.0
