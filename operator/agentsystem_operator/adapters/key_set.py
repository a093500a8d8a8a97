"""The document with the keys that the cluster signs service-account tokens with.

Every service account may read it. Who needs it keeps it: the channel verifies tokens with it, and
systems that authenticate hand it to their pods.
"""

from agentsystem_operator import ports
from agentsystem_operator.adapters.api_client import ApiClient

PATH = "/openid/v1/jwks"
KIND = "JWKS"
MAX_BYTES = 65_536
"""A cluster has a handful of keys of half a kilobyte."""


async def read(api: ApiClient) -> bytes:
    """Return the JSON Web Key Set; raises `ports.ClusterError`."""
    found = await api.call("get", PATH, kind=KIND, accept="*/*")
    if len(found) > MAX_BYTES:
        raise ports.ClusterUnreachable(f"the cluster's key set is over {MAX_BYTES} bytes")
    return found
