"""Azure's way to ask OpenAI's protocol: the deployment in the path, the version in the query."""

import re
from urllib.parse import parse_qs, unquote

from agent_runtime.simulator.exchange import Refused, Request

_DEPLOYMENT = re.compile(r"/openai/deployments/([^/]{1,300})/")
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")


def deployment(request: Request) -> str | None:
    """Return the deployment that is asked, None for any other path; raise as Azure refuses."""
    found = _DEPLOYMENT.search(request.path)
    if found is None:
        return None
    if b"api-key" not in request.headers:
        text = "Access denied due to invalid subscription key or wrong API endpoint."
        raise Refused(401, text, code="401")
    (version, *_) = parse_qs(request.query).get("api-version", [""])
    if not _VERSION.fullmatch(version):
        raise Refused(404, "Resource not found", code="404")
    return unquote(found[1])
