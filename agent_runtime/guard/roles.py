"""Which endpoints each role opens: the one table. What is in no row is closed to everybody.

A role that opens nothing does not exist; tests hold the table against the endpoints served.
"""

from collections.abc import Mapping

from agent_runtime.guard.principal import Role

OPENS: Mapping[Role, tuple[tuple[str, str], ...]] = {
    Role.CHAT: (
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/responses"),
        ("POST", "/v1/embeddings"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/"),
    ),
    Role.MODELS: (
        ("GET", "/v1/models"),
        ("GET", "/v1/models/"),
    ),
}
"""Method and path; one that ends with a slash stands for every path below it."""

OPEN_TO_ALL = frozenset({"/health", "/ready"})
"""What the kubelet asks: it has no credentials, and learns nothing but whether we live."""

_ROLES = {
    endpoint: frozenset(role for role, opened in OPENS.items() if endpoint in opened)
    for endpoints in OPENS.values()
    for endpoint in endpoints
}


def that_open(method: str, path: str) -> frozenset[Role]:
    """Return the roles that open a request; each of them is enough, none means nobody may."""
    asked = "GET" if method == "HEAD" else method
    exact = _ROLES.get((asked, path))
    if exact is not None:
        return exact
    return _ROLES.get((asked, path[: path.rfind("/") + 1]), frozenset())
