"""What one request cost, filled in by the wrappers that it went through.

Made where a request comes in, and read there again for headers and logs; holds no text of it.
"""


class Receipt:
    """Of one request; its providers, their retries and fallbacks add to it."""

    __slots__ = ("cost_nano", "estimated", "session", "tenant", "unpriced")

    def __init__(self, *, tenant: str = "", session: str = "") -> None:
        self.tenant = tenant
        self.session = session
        self.cost_nano = 0
        """What is known to be charged so far."""
        self.estimated = False
        """Whether some of it is an estimate of ours."""
        self.unpriced = False
        """Whether something was answered by a model whose price is unknown."""
