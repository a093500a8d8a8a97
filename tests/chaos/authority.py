"""The chaos proxies' own certificate authority: one for a whole run, made by the cluster's tool."""

from __future__ import annotations

import json
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from devcluster import build

NAME = "chaos-ca"
LEAF = "chaos-proxy"


@dataclass(frozen=True, slots=True)
class Authority:
    """What a proxy listens with, and what its operator has to trust."""

    tls: ssl.SSLContext
    ca: bytes


def make(folder: Path) -> Authority:
    """Make an authority and a certificate for loopback; both live as long as the folder."""
    tools = build.directories()["tools"] / "devcluster-tools"
    leaf = {"name": LEAF, "authority": NAME, "commonName": LEAF, "hosts": ["127.0.0.1"]}
    wanted = {"authorities": [NAME], "keyPairs": [], "leaves": [{**leaf, "organizations": []}]}
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    subprocess.run(
        [tools, "certs", folder], input=json.dumps(wanted), text=True, check=True, timeout=60
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / f"{LEAF}.crt", folder / f"{LEAF}.key")
    return Authority(tls, (folder / f"{NAME}.crt").read_bytes())
