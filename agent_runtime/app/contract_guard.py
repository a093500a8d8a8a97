"""`guard` of the rendered config (v1.1): what protects the system and the people who use it."""

from agent_runtime.app.contract_pii import PiiEntry
from agent_runtime.app.contract_types import SecretPlace
from agent_runtime.problems import Strict


class EncryptionEntry(Strict):
    """Fernet keys, one a line: the first seals what sessions store, all of them open it."""

    keys: SecretPlace


class GuardEntry(Strict):
    """What protects the system and the people who use it."""

    encryption: EncryptionEntry | None = None
    pii: PiiEntry | None = None
