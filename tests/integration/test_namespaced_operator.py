"""An operator of a few namespaces, with the Roles of config/namespaced and nothing else.

Its account is bound to nothing cluster-wide. Each test is a small installation of its own, so that
one may lose a namespace without another noticing.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests import audit, builders
from tests.conftest import ROOT
from tests.integration.crd import serve
from tests.integration.operator_process import ACCOUNT, NAMESPACE, Process, log_in, operator
from tests.kube import Kube, eventually

_numbers = itertools.count(1)
CONFIG = ROOT / "config" / "namespaced"
PROMPT_S = 15.0
"""An edit is carried out in well under a second; the rest is for a busy machine."""
OF_EVERY_USER = re.compile(r"/readyz|/api(/v1)?(\?.*)?|/apis(/[\w.]+(/v\w+)?)?(\?.*)?")
"""What Kubernetes lets every account read: the kinds that there are, and whether it is well."""


class Installation:
    """The operator's account in a namespace of its own, and namespaces that it may serve."""

    def __init__(self, kube: Kube, folder: Path) -> None:
        self.kube = kube
        self._folder = folder
        number = f"{next(_numbers)}-{int(time.time())}"
        self.home = f"home-{number}"
        self.a, self.b, self.other = (f"{name}-{number}" for name in ("a", "b", "other"))
        self.user = f"system:serviceaccount:{self.home}:{ACCOUNT}"
        for name in (self.home, self.a, self.b, self.other):
            kube.apply(builders.namespace(name))
        self._install(CONFIG, self.home)

    def grant(self, *namespaces: str) -> None:
        """Install the Role of each served namespace, as the documentation says."""
        for namespace in namespaces:
            self._install(CONFIG / "tenant", namespace)

    def _install(self, folder: Path, namespace: str) -> None:
        text = self.kube.kubectl("kustomize", str(folder)).replace(NAMESPACE, self.home)
        # Its own process stands in for the Deployment.
        wanted = [part for part in text.split("\n---\n") if not _RUNS.search(part)]
        command = ("apply", "--server-side", "-n", namespace, "-f", "-")
        self.kube.kubectl(*command, stdin="\n---\n".join(wanted))

    def run(self, *, leads: bool = True) -> AbstractContextManager[Process]:
        """Run the operator for both namespaces, which may exist or not."""
        kubeconfig = log_in(self.kube, self._folder, self.home)
        flags = ["--namespaces", f"{self.a},{self.b}", "--namespace", self.home]
        flags += ["--identity", "pod-uid"]
        return operator(kubeconfig, self.log, *flags, leads=leads)

    @property
    def log(self) -> Path:
        return self._folder / "log"

    def edit(self, namespace: str, replicas: int) -> None:
        """Give the system of a namespace, made on first use, so many replicas."""
        agents = [builders.agent(replicas=replicas)]
        self.kube.apply(builders.system("one", namespace, agents=agents))

    def has(self, namespace: str, replicas: int) -> bool:
        live = self.kube.get("Deployment", "one--front-a", namespace)
        return live is not None and live["spec"]["replicas"] == replicas

    def carries_out(self, namespace: str, replicas: int, *, within_s: float = PROMPT_S) -> None:
        """Edit, and expect the edit to be carried out."""
        self.edit(namespace, replicas)
        self.expect(namespace, replicas, within_s=within_s)

    def expect(self, namespace: str, replicas: int, *, within_s: float) -> None:
        eventually(
            f"{replicas} replicas in {namespace}",
            lambda: self.has(namespace, replicas),
            within_s=within_s,
        )

    def requests(self) -> list[audit.Request]:
        """All requests of this account."""
        return list(audit.requests(self.cluster, user=self.user))

    cluster = ""


_RUNS = re.compile("^kind: (Deployment|PodDisruptionBudget|Service)$", re.MULTILINE)


@pytest.fixture
def site(kube: Kube, cluster_name: str, tmp_path: Path) -> Iterator[Installation]:
    serve(kube)
    made = Installation(kube, tmp_path)
    made.cluster = cluster_name
    yield made
    for name in (made.home, made.a, made.b, made.other):
        kube.delete("Namespace", name)


def readyz(process: Process) -> tuple[int, str]:
    answer = process.page("/readyz")
    return (answer.status_code, answer.text) if answer else (0, "")


def test_roles_are_enough_and_nothing_is_asked_of_the_cluster(site: Installation) -> None:
    """Two namespaces are served, a third that has a system too is not even looked at."""
    site.grant(site.a, site.b)
    with site.run() as process:
        site.edit(site.other, 1)
        site.carries_out(site.a, 2)
        site.carries_out(site.b, 2)
        site.kube.delete("Service", "one", site.a)
        eventually("restored", lambda: site.kube.get("Service", "one", site.a), within_s=PROMPT_S)
        assert readyz(process) == (200, "ok\n")
        assert site.kube.get("Service", "one", site.other) is None

    made = site.requests()
    assert {request.namespace for request in made} == {site.home, site.a, site.b, ""}
    assert [str(r) for r in made if r.forbidden] == []
    assert [
        str(request)
        for request in made
        if not request.namespace and not OF_EVERY_USER.fullmatch(request.resource)
    ] == []


def test_a_namespace_without_its_role_is_named_and_served_as_soon_as_it_has_one(
    site: Installation,
) -> None:
    site.grant(site.a)
    with site.run() as process:
        site.carries_out(site.a, 1)
        site.edit(site.b, 1)
        status, text = readyz(process)
        assert (status, text.splitlines()[0]) == (200, "ok")
        assert f"namespace {site.b} is not served: " in text
        assert f'in the namespace "{site.b}"' in text
        assert site.a not in text
        told = [line for line in process.log if line.get("namespace") == site.b]
        assert {line["message"] for line in told} == {"watch interrupted; trying again"}
        site.carries_out(site.a, 2)

        site.grant(site.b)
        site.expect(site.b, 1, within_s=45)
        eventually("all is well", lambda: readyz(process) == (200, "ok\n"), within_s=45)
        site.carries_out(site.b, 3)


def test_a_deleted_namespace_hurts_no_other_before_and_after_a_restart(
    site: Installation,
) -> None:
    site.grant(site.a, site.b)
    with site.run():
        site.carries_out(site.a, 1)
        site.carries_out(site.b, 1)
        site.kube.delete("Namespace", site.b)
        site.carries_out(site.a, 2)
        eventually("b is gone", lambda: site.kube.get("Namespace", site.b) is None, within_s=60)
        site.carries_out(site.a, 3)
    with site.run() as process:
        site.carries_out(site.a, 1)
        assert f"namespace {site.b} is not served: " in readyz(process)[1]

        site.kube.apply(builders.namespace(site.b))
        site.grant(site.b)
        site.edit(site.b, 1)
        site.expect(site.b, 1, within_s=45)
        site.carries_out(site.a, 2)


def test_rights_that_are_taken_away_stop_one_namespace_and_no_other(site: Installation) -> None:
    site.grant(site.a, site.b)
    with site.run() as process:
        site.carries_out(site.a, 1)
        site.carries_out(site.b, 1)
        site.kube.kubectl("delete", "rolebinding", ACCOUNT, "-n", site.b)
        time.sleep(1)  # the apiserver's authorizer watches bindings
        site.edit(site.b, 2)
        eventually(
            "it was tried",
            lambda: any(line["message"] == "pass ended early" for line in process.log),
            within_s=10,
        )
        for replicas in (2, 3, 1):
            site.carries_out(site.a, replicas)
        assert not any(line["message"].startswith("apiserver unreachable") for line in process.log)
        assert not site.has(site.b, 2)

        site.grant(site.b)
        site.expect(site.b, 2, within_s=90)


def test_with_no_namespace_to_serve_it_waits_and_says_so(site: Installation) -> None:
    process = Process(
        log_in(site.kube, site.log.parent, site.home),
        site.log,
        *("--namespaces", site.a, "--namespace", site.home),
    )
    try:
        eventually("it answers", lambda: "not served" in readyz(process)[1], within_s=20)
        assert readyz(process)[0] == 503
        assert not process.is_leading()
        site.grant(site.a)
        eventually("it leads", process.is_leading, within_s=45)
        site.carries_out(site.a, 1)
    finally:
        assert process.stop() == 0
    assert "Traceback" not in site.log.read_text()
