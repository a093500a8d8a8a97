"""Credentials come from a pod's account or a kubeconfig; tokens are read again every minute."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentsystem_operator.adapters import connection


def kubeconfig(folder: Path, user: dict[str, Any], **cluster: Any) -> Path:
    path = folder / "config"
    content = {
        "current-context": "here",
        "contexts": [
            {"name": "other", "context": {"cluster": "no", "user": "no"}},
            {"name": "here", "context": {"cluster": "c", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1/", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_token_file_is_read_again_after_a_minute(tmp_path: Path) -> None:
    now = [0.0]
    file = tmp_path / "token"
    file.write_text("first\n")
    token = connection.TokenFile(file, monotonic=lambda: now[0])
    assert token() == "first"
    file.write_text("second\n")
    now[0] = 59.0
    assert token() == "first"
    now[0] = 60.0
    assert token() == "second"
    file.unlink()
    now[0] = 120.0
    assert token() == "second"


def test_a_pod_uses_its_own_account(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc")
    (tmp_path / "ca.crt").write_text(_certificate(tmp_path)[0])
    env = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    found = connection.in_cluster(folder=tmp_path, env=env)
    assert found.server == "https://[fd00::1]:443"
    assert found.headers() == {"Authorization": "Bearer abc"}


def test_outside_a_pod_the_message_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(connection.NoConnection, match="--kubeconfig"):
        connection.in_cluster(folder=tmp_path, env={})


def test_a_kubeconfig_may_hold_a_token_or_name_its_file(tmp_path: Path) -> None:
    held = connection.from_kubeconfig(kubeconfig(tmp_path, {"token": "abc"}))
    assert (held.server, held.tls) == ("http://127.0.0.1:1", None)
    assert held.headers() == {"Authorization": "Bearer abc"}
    (tmp_path / "t").write_text("def")
    named = connection.from_kubeconfig(kubeconfig(tmp_path, {"tokenFile": "t"}))
    assert named.headers() == {"Authorization": "Bearer def"}


def test_a_kubeconfig_may_hold_a_client_certificate(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path)
    user = {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)}
    path = kubeconfig(
        tmp_path,
        user,
        server="https://127.0.0.1:1",
        **{"certificate-authority-data": _base64(certificate)},
    )
    found = connection.from_kubeconfig(path)
    assert found.tls is not None
    assert found.headers() == {}
    assert len(found.tls.get_ca_certs()) == 1


def test_an_unusable_kubeconfig_is_named_and_never_quoted(tmp_path: Path) -> None:
    broken = kubeconfig(tmp_path, {"client-certificate-data": "s3cr3t!"}, server="https://x")
    for content in (broken.read_text(), "s3cr3t: [", "current-context: s3cr3t"):
        broken.write_text(content)
        with pytest.raises(connection.NoConnection) as failure:
            connection.from_kubeconfig(broken)
        assert str(broken) in str(failure.value)
        assert "s3cr3t" not in str(failure.value)
    with pytest.raises(connection.NoConnection, match="No such file"):
        connection.from_kubeconfig(tmp_path / "none")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _certificate(folder: Path) -> tuple[str, str]:
    key, certificate = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=test"]
    subprocess.run(command, check=True, capture_output=True)
    return certificate.read_text(), key.read_text()
