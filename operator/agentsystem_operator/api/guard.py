"""`spec.guard`: what protects the system and the people who use it."""

from agentsystem_operator.api.base import ApiModel
from agentsystem_operator.api.kubernetes import KeyReference
from agentsystem_operator.api.pii import Pii


class Encryption(ApiModel):
    """Encryption of what is stored (Fernet: AES-128-CBC with HMAC-SHA-256)."""

    keys_secret_ref: KeyReference
    """Secret key with 1 to 10 Fernet keys, one a line: the first encrypts, all of them decrypt.
    Without a usable key sessions are refused; nothing is ever stored in the clear."""


class Guard(ApiModel):
    """What protects the system and the people who use it."""

    encryption: Encryption | None = None
    """Encryption of the turns of sessions in every store; absent: they are stored as they are."""
    pii: Pii | None = None
    """Personal data in requests and answers; absent: nothing is looked for."""
