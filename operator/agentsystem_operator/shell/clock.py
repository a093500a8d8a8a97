"""The system's time, behind `ports.Clock`."""

import asyncio
from datetime import UTC, datetime


class SystemClock:
    """Wall clock in UTC, and the event loop's monotonic clock (virtual in tests)."""

    def now(self) -> datetime:
        """Return the present."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the loop's time: seconds that never go back."""
        return asyncio.get_running_loop().time()
