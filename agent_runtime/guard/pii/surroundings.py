"""What stands before and after a candidate: a number inside a longer word is no number.

`before` is up to 64 bytes of the text, and of `after` no more than two characters are looked at:
`candidates.undecided` keeps a stream waiting until those have come.
"""

import re

BEFORE_BYTES = 64

_INTRODUCTIONS = frozenset(
    {
        "tel", "phone", "mobile", "mob", "cell", "fax", "sms", "call", "contact", "whatsapp",
        "wechat", "wx", "id", "idcard", "sfz", "no", "num", "number", "card", "visa", "mastercard",
        "amex", "unionpay", "passport", "ip", "addr", "host", "email", "mail",
    }
)  # fmt: skip
"""Words that people write right before a number: `tel13800138000`, `card-4111...`."""

_LAST_WORD = re.compile(r"([A-Za-z]{1,12})[-_.]?\Z")
_PASSPORTS = (
    "passport", "travel document", "pasaporte", "reisepass",
    "\u62a4\u7167", "\u8b77\u7167", "\u65c5\u884c\u8bc1",
)  # fmt: skip
_NEAR = 16  # characters; `passport order no.` would be strange
_ORDERED = re.compile(
    "(?i:order|invoice|tracking|sku|part|model|serial|ticket|item|batch|ref|version|commit|case"
    "|flight|train|room|product)[ a-z#:.=_]{0,12}\\Z"
    "|(?:\u8ba2\u5355|\u5355|\u7f16|\u5e8f\u5217|\u6279\u6b21|\u6279|\u578b|\u6b3e|\u8d27|\u822a\u73ed|\u5217\u8f66)"
    "[\u53f7\u6b21\u7801]?[\u662f\u4e3a\uff1a: ]{0,3}\\Z"
)
"""What has a letter and digits and is no passport: orders, parts, trains."""
_VERSIONED = re.compile(
    r"(?i:(?:^|[^a-z])v|version|ver\.?|build|release|revision|rev|section|chapter|firmware)"
    r"[ :=]{0,3}\Z"
    "|(?:\u7248\u672c|\u7ae0\u8282|\u7b2c|\u56fa\u4ef6)[\u53f7\u4e3a\u662f\uff1a: ]{0,3}\\Z"
    r"|[=~><!]= ?\Z|[\^~]\Z|[A-Za-z]/\Z"
)


def is_letter_or_digit(character: str) -> bool:
    """Return whether a character belongs to words of ASCII; Chinese writes without blanks."""
    return character.isascii() and (character.isalnum() or character == "_")


def opens(before: str) -> bool:
    """Return whether a number may begin here."""
    if not before:
        return True
    last = before[-1]
    if last == "." and before[-2:-1].isdigit():
        return False  # the rest of a fraction
    beside = before[-2:-1] if last == "-" else last
    if not (beside and is_letter_or_digit(beside)):
        return True
    word = _LAST_WORD.search(before)
    return word is not None and word[1].lower() in _INTRODUCTIONS


def closes(after: str) -> bool:
    """Return whether a number may end here."""
    if not after:
        return True
    if after[0] == "@" or (after[0] == "." and after[1:2].isdigit()):
        return False  # the name in an address, or a number with a fraction
    return not is_letter_or_digit(after[0])


def speaks_of_a_passport(before: str) -> bool:
    """Return whether what stands before a number says that it is a passport's."""
    said = before.lower()
    if not any(word in said for word in _PASSPORTS):
        return False
    near = any(word in said[-_NEAR:] for word in _PASSPORTS)
    return near or not speaks_of_an_order(before)


def speaks_of_an_order(before: str) -> bool:
    """Return whether what stands right before a number says that it is a thing's."""
    return _ORDERED.search(before) is not None


def speaks_of_a_version(before: str) -> bool:
    """Return whether what stands right before four numbers says that they are no address."""
    return _VERSIONED.search(before) is not None
