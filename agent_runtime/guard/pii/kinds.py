"""What is looked for, and what becomes of it."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """A kind of data about people that has a form of its own."""

    EMAIL = "Email"
    PHONE = "Phone"  # E.164, and mainland China's mobiles and landlines as they are written there
    ID_CARD = "IDCard"  # mainland China's, 18 characters with a check digit
    BANK_CARD = "BankCard"  # a known issuer's length, and Luhn's check digit
    IP_ADDRESS = "IPAddress"  # 4 and 6; neither loopback nor masks
    PASSPORT = "Passport"


class Policy(StrEnum):
    """What becomes of a hit."""

    MASK = "Mask"  # `<EMAIL_1>`, numbered within a conversation
    HASH = "Hash"  # `<EMAIL_mzuw4z3boixa>`, the same in all conversations of a system
    BLOCK = "Block"  # the request or the answer is refused


LABELS = {
    Kind.EMAIL: "EMAIL",
    Kind.PHONE: "PHONE",
    Kind.ID_CARD: "ID_CARD",
    Kind.BANK_CARD: "BANK_CARD",
    Kind.IP_ADDRESS: "IP_ADDRESS",
    Kind.PASSPORT: "PASSPORT",
}
"""What a placeholder calls a kind: a word that a model understands."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind, or one pattern of the user's, and its policy."""

    name: str
    """As in the config; in metrics, logs and messages."""
    label: str
    policy: Policy
    restore: bool = False
    """Whether callers get the original back in the answer."""


def label_of(pattern_name: str) -> str:
    """Return the label of a user's pattern: `employee-id` is EMPLOYEE_ID."""
    return pattern_name.upper().replace("-", "_")


@dataclass(frozen=True, slots=True)
class Hit:
    """Where a text, as UTF-8, holds what a rule is about."""

    start: int
    end: int
    rule: Rule
