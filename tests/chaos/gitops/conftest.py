"""The operator and the namespace of the shorter stories."""

from tests.integration.conftest import credentials, ns, running

__all__ = ["credentials", "ns", "running"]
