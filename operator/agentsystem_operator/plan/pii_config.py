"""`guard.pii` in the rendered config; where its key is mounted."""

from typing import Any

from agentsystem_operator.api.pii import Pii

KEY = "guard.pii"
"""The directory of its key among those of the providers: no provider has a dot in its name."""


def of_pii(pii: Pii, keys: str) -> dict[str, Any]:
    """Return the part of the config; `keys` is the directory of all keys."""
    ref = pii.key_secret_ref
    place = {"file": f"{keys}/{KEY}/key", "secretName": ref.name, "secretKey": ref.key}
    found: dict[str, Any] = {"key": place}
    if pii.kinds:
        found["kinds"] = [kind.stated() for kind in pii.kinds]
    if pii.patterns:
        found["patterns"] = [pattern.stated() for pattern in pii.patterns]
    return found
