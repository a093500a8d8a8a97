"""Resource versions, compared: which of two states of an object is the later one.

Kubernetes defines them as ordered since 1.35 and has kept them so since ever; anything that is
not a number compares as "cannot tell".
"""

OLDEST = "0"
"""Of a state that any other replaces."""


def is_older(version: str, than: str) -> bool:
    """Say whether the first is surely the earlier one."""
    return version.isdigit() and than.isdigit() and int(version) < int(than)


def is_newer(version: str, than: str) -> bool:
    """Say whether the first is surely the later one."""
    return is_older(than, version)
