"""What tests with an operator as a process share: its account, namespaces, and their order."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import builders
from tests.integration import hostile
from tests.integration.crd import serve
from tests.integration.hostile import Bystander
from tests.integration.operator_process import Process, account, operator
from tests.kube import Kube

_numbers = itertools.count(1)
LAST = "test_rights_that_were_used.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that read what all others made the operator do behind them."""
    items.sort(key=lambda item: item.path.name == LAST)


@pytest.fixture
def credentials(kube: Kube, tmp_path: Path) -> Path:
    """A kubeconfig with the operator's rights, in a folder for its logs."""
    serve(kube)
    return account(kube, tmp_path)


@pytest.fixture(scope="module")
def running(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One operator for all stories of a module that do not end it."""
    with _of_a_module(kube, tmp_path_factory.mktemp("operator"), identity="pod-uid") as process:
        yield process


@pytest.fixture
def ns(kube: Kube) -> Iterator[str]:
    """A namespace for one story."""
    name = f"story-{next(_numbers)}-{int(time.time())}"
    kube.apply(builders.namespace(name))
    yield name
    kube.delete("Namespace", name)


@pytest.fixture(scope="module")
def attacked(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One operator for all attacks of a module; no traceback may be in its log in the end."""
    with _of_a_module(kube, tmp_path_factory.mktemp("hostile"), identity="hostile") as process:
        yield process


@pytest.fixture(scope="module")
def bystander(attacked: Process, kube: Kube) -> Iterator[Bystander]:
    """Another tenant's system under the operator that is attacked."""
    with hostile.namespace(kube, "bystander") as ns:
        yield Bystander(kube, ns)


@pytest.fixture
def arena(kube: Kube, bystander: Bystander) -> Iterator[str]:
    """A namespace to attack; afterwards the bystander must be as it was, and be served."""
    with hostile.namespace(kube, "hostile") as name:
        yield name
        assert bystander.is_untouched()
        assert bystander.is_served_promptly()


@contextmanager
def _of_a_module(kube: Kube, folder: Path, *, identity: str) -> Iterator[Process]:
    serve(kube)
    with operator(account(kube, folder), folder / "log", "--identity", identity) as process:
        yield process
