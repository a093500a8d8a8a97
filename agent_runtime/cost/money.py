"""Amounts of money as whole nano-USD: exact in Python, in SQLite and in Redis' doubles.

1 USD is 10**9; a double counts without gaps up to 2**53, which is 9 million USD.
"""

import math
import re
from decimal import Decimal

USD = 10**9
_DECIMAL = re.compile(r"[0-9]{1,6}([.][0-9]{1,9})?")


def scaled(text: str, unit: int) -> int:
    """Return a decimal such as "0.075" in units of which `unit` make a whole one, rounded up.

    "0.075" with 10**6 is 75000. Raises ValueError for anything else than up to six digits, with up
    to nine behind the point.
    """
    if not _DECIMAL.fullmatch(text):
        raise ValueError(
            'is not an amount; write a quoted decimal such as "2.50", with up to 6 digits before'
            " the point and 9 behind it"
        )
    return math.ceil(Decimal(text) * unit)


def usd(nano: int) -> str:
    """Return an amount as people read it: 1500000 is "0.0015", 2 * 10**9 is "2"."""
    text = f"{nano // USD}.{nano % USD:09d}".rstrip("0")
    return text.removesuffix(".")
