"""What a provider's models are called in OpenTelemetry's GenAI conventions."""

from urllib.parse import urlsplit

from agent_runtime.app.contract import EndpointSection, OpenAISection, ProviderEntry
from agent_runtime.observability.genai_metrics import Model

_BY_TYPE = {"Scripted": "agentsystem.scripted", "Anthropic": "anthropic", "OpenAI": "openai"}
_AZURE = "azure.ai.openai"
_BY_HOST = {
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "api.cohere.com": "cohere",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.moonshot.cn": "moonshot_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
}
"""Endpoints that speak OpenAI's API and have a name of their own in the conventions."""


def models_of(
    entry: ProviderEntry, section: EndpointSection | None, model: str
) -> tuple[Model, Model]:
    """Return a model as it is measured when it chats, and when it embeds.

    A script has no section.
    """
    address, port = _address(section)
    name = _name(entry, section, address)

    def measured(operation: str) -> Model:
        return Model(operation, name, model, address, port, entry.name)

    return measured("chat"), measured("embeddings")


def _name(entry: ProviderEntry, section: EndpointSection | None, address: str) -> str:
    if isinstance(section, OpenAISection):
        if section.azure is not None:
            return _AZURE
        return _BY_HOST.get(address, _BY_TYPE[entry.type])
    return _BY_TYPE[entry.type]


def _address(section: EndpointSection | None) -> tuple[str, str]:
    if section is None:
        return "", ""
    parts = urlsplit(section.base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.hostname or "", str(port)
