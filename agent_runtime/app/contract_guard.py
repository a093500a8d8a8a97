"""The part `guard` of the rendered config (v1.1)."""

from agent_runtime.app.contract_pii import PiiEntry
from agent_runtime.problems import Strict


class GuardEntry(Strict):
    """What protects the system and its users; absent: nothing."""

    pii: PiiEntry | None = None
