"""Azure OpenAI: OpenAI's protocol at paths of its own, with the key in a header of its own.

A model is a deployment there, named in the path, and every address says which version of the API is
meant. Azure's newer `/openai/v1` needs none of this: it is an endpoint as any other.
"""

from dataclasses import replace
from urllib.parse import quote

from agent_runtime.providers.connections import Connections
from agent_runtime.providers.endpoint import Endpoint
from agent_runtime.providers.keys import KeyFile
from agent_runtime.providers.openai_compatible import OpenAICompatible

KEY_HEADER = ("api-key", "")
ID_HEADER = "x-ms-client-request-id"


def deployment(
    resource: Endpoint, api_version: str, key: KeyFile | None, http: Connections
) -> OpenAICompatible:
    """Return the deployment that is called as the endpoint's model is."""
    base = f"{resource.base_url.rstrip('/')}/openai/deployments/{quote(resource.model, safe='')}"
    endpoint = replace(resource, base_url=base, query=f"?api-version={api_version}")
    return OpenAICompatible(endpoint, key, http, key_header=KEY_HEADER, id_header=ID_HEADER)
