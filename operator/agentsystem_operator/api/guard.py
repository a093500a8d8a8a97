"""`spec.guard`: what protects the system and the people who use it."""

from agentsystem_operator.api.base import ApiModel
from agentsystem_operator.api.pii import Pii


class Guard(ApiModel):
    """What protects the system and the people who use it."""

    pii: Pii | None = None
    """Personal data in requests and answers; absent: nothing is looked for."""
