"""What a model endpoint may have beside address, key and timeout; part of `spec`."""

from typing import Annotated, ClassVar

from pydantic import Field

from agentsystem_operator.api import endpoint_rules, types
from agentsystem_operator.api.base import ApiModel


class Azure(ApiModel):
    """How Azure OpenAI is asked: {baseURL}/openai/deployments/{model}, with an `api-key` header."""

    api_version: types.ApiVersion
    """Version of the API, the query's api-version; 2024-10-21 or newer."""


class ProviderLimits(ApiModel):
    """How often an account may be asked, whatever the model.

    All pods of the system keep them together if spec.stores.redis is there, else each for itself.
    """

    concurrency: Annotated[int, types.Strict(), Field(ge=1, le=10_000)] | None = None
    """Requests at the same time."""
    requests_per_minute: Annotated[int, types.Strict(), Field(ge=1, le=1_000_000)] | None = None
    """Requests that are begun in a minute."""
    tokens_per_minute: Annotated[int, types.Strict(), Field(ge=1, le=1_000_000_000)] | None = None
    """Tokens of prompts and answers in a minute."""

    RULES: ClassVar = endpoint_rules.LIMITS
