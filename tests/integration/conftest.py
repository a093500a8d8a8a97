"""The operator that a module's stories share, a namespace for each story, and the order of all."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import builders
from tests.integration.crd import serve
from tests.integration.operator_process import Process, account, operator
from tests.kube import Kube

_numbers = itertools.count(1)
LAST = "test_rights_that_were_used.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that read what all others made the operator do behind them."""
    items.sort(key=lambda item: item.path.name == LAST)


@pytest.fixture(scope="module")
def credentials(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's kubeconfig."""
    serve(kube)
    return account(kube, tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="module")
def running(credentials: Path) -> Iterator[Process]:
    """One operator for all stories of a module that do not end it."""
    with operator(credentials, credentials.parent / "log", "--identity", "pod-uid") as process:
        yield process


@pytest.fixture
def ns(kube: Kube) -> Iterator[str]:
    name = f"story-{next(_numbers)}-{int(time.time())}"
    kube.apply(builders.namespace(name))
    yield name
    kube.delete("Namespace", name)
