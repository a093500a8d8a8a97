"""Keys, tokens and files for tests of who is let in."""

import json
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ISSUER = "https://id.example"
AUDIENCE = "support"


@cache
def _rsa(_name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class Signer:
    """Somebody with a private key; `kid` names it."""

    kid: str = "one"
    algorithm: str = "RS256"
    key: Any = field(default=None, compare=False)

    @property
    def private(self) -> Any:
        if self.key is not None:
            return self.key
        if self.algorithm.startswith("ES"):
            return _curve()
        return _rsa(self.kid)

    def jwk(self, **changes: Any) -> dict[str, Any]:
        maker = (
            jwt.algorithms.ECAlgorithm
            if self.algorithm.startswith("ES")
            else jwt.algorithms.RSAAlgorithm
        )
        public = maker.to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "use": "sig", "alg": self.algorithm, **changes}

    def token(self, **claims: Any) -> str:
        whole = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": int(time.time()) + 600, **claims,
        }  # fmt: skip
        kept = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(kept, self.private, self.algorithm, headers={"kid": self.kid})


@cache
def _curve() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_set(*signers: Signer) -> bytes:
    """Return the public half of them all."""
    return json.dumps({"keys": [signer.jwk() for signer in signers]}).encode()


def account_token(signer: Signer, account: str, **claims: Any) -> str:
    """Return a service-account token as a kubelet projects it for siblings."""
    subject = f"system:serviceaccount:{account}"
    return signer.token(
        iss="https://cluster", aud=["agentsystem.dev/siblings"], sub=subject, **claims
    )


class FakeTime:
    """A clock that stands until it is told to go."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def written(path: Path, content: bytes | str) -> Path:
    """Return the file with that content, replaced as a kubelet does it."""
    raw = content.encode() if isinstance(content, str) else content
    fresh = path.with_name(f".{path.name}")
    fresh.write_bytes(raw)
    fresh.replace(path)
    return path
