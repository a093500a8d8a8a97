"""Where the apiserver is and how one proves to it who one is.

Reads a pod's own service account or a kubeconfig file, nothing else: no exec plugins, no
environment. The token is read again at least once a minute, since kubelet renews it. Nothing here
may log what it reads.
"""

import base64
import binascii
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_READ_EVERY_S = 60.0
"""Kubelet renews a projected token when a fifth of its hour is left; a minute is soon enough."""


class NoConnection(Exception):
    """There is no usable description of a cluster: give up and say what is missing."""


class TokenFile:
    """The bearer token in a file, read again when it is older than a minute."""

    def __init__(self, path: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._token = ""
        self._read_at = -TOKEN_READ_EVERY_S

    def __call__(self) -> str:
        """Return the token; the last one that could be read when the file is missing now."""
        now = self._monotonic()
        if now - self._read_at >= TOKEN_READ_EVERY_S:
            self._read_at = now
            self._token = self._read() or self._token
        return self._token

    def _read(self) -> str:
        try:
            return self._path.read_text().strip()
        except OSError:
            return ""


@dataclass(frozen=True, slots=True)
class Connection:
    """An apiserver and our credentials for it."""

    server: str
    tls: ssl.SSLContext | None
    token: Callable[[], str]
    """Returns the bearer token of this moment; empty when a client certificate is used."""

    def headers(self) -> dict[str, str]:
        """Return the header that authenticates one request made now."""
        token = self.token()
        return {"Authorization": f"Bearer {token}"} if token else {}


def in_cluster(
    *, folder: Path = SERVICE_ACCOUNT, env: Mapping[str, str] = os.environ
) -> Connection:
    """Return the connection of a pod's own service account."""
    host, port = env.get("KUBERNETES_SERVICE_HOST"), env.get("KUBERNETES_SERVICE_PORT")
    if not host or not port or not (folder / "token").exists():
        raise NoConnection("not in a pod with a service account; give --kubeconfig FILE")
    authority = f"[{host}]" if ":" in host else host
    tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    return Connection(f"https://{authority}:{port}", tls, TokenFile(folder / "token"))


def from_kubeconfig(path: Path) -> Connection:
    """Return the connection of the current context in a kubeconfig file."""
    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config, "contexts", config["current-context"])["context"]
        cluster = _named(config, "clusters", context["cluster"])["cluster"]
        user = _named(config, "users", context["user"]).get("user") or {}
        server = str(cluster["server"]).rstrip("/")
        return Connection(server, _tls(server, cluster, user, path.parent), _token(user, path))
    except OSError as exc:
        raise NoConnection(f"kubeconfig {path}: {exc.strerror}") from exc
    except (KeyError, TypeError, yaml.YAMLError, binascii.Error) as exc:
        # The text of such an error may quote the file, and so a key: name its type only.
        raise NoConnection(f"kubeconfig {path}: not usable ({type(exc).__name__})") from None


def _named(config: Mapping[str, Any], section: str, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = {item["name"]: item for item in config[section]}[name]
    return found


def _token(user: Mapping[str, Any], path: Path) -> Callable[[], str]:
    if "tokenFile" in user:
        return TokenFile(path.parent / user["tokenFile"])
    token = str(user.get("token", ""))
    return lambda: token


def _tls(
    server: str, cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path
) -> ssl.SSLContext | None:
    if not server.startswith("https://"):
        return None
    authority = _pem(cluster, "certificate-authority", folder)
    tls = ssl.create_default_context(cadata=authority or None)
    certificate = _pem(user, "client-certificate", folder)
    if certificate:
        _load_client(tls, certificate + "\n" + _pem(user, "client-key", folder))
    return tls


def _load_client(tls: ssl.SSLContext, chain: str) -> None:
    # OpenSSL takes a client certificate from a file only; 0600, and gone right after.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(chain)
        file.flush()
        tls.load_cert_chain(file.name)


def _pem(entry: Mapping[str, Any], name: str, folder: Path) -> str:
    if inline := entry.get(f"{name}-data"):
        return base64.b64decode(inline).decode()
    return (folder / entry[name]).read_text() if name in entry else ""
