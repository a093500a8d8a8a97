"""What is found in a text, and what is not."""

import pytest

from agent_runtime.guard.pii import user_patterns
from agent_runtime.guard.pii.kinds import Policy
from agent_runtime.guard.pii.placeholders import Placeholders
from agent_runtime.guard.pii.streams import Redaction
from tests.pii import corpus
from tests.pii.rules import SECRET, detector, found

FULL_WIDTH = "13800138000".translate({0x30 + digit: 0xFF10 + digit for digit in range(10)})
DETECTOR = detector(patterns={"employee": r"EMP-\d{4,6}", "works-id": "\u5de5\u53f7[0-9]{4}"})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("mail foo.bar+x@example.co.uk, ok", [("Email", "foo.bar+x@example.co.uk")]),
        ("\u90ae\u7bb1zhang@163.com\u8c22\u8c22", [("Email", "zhang@163.com")]),
        ("zhang\uff20163\uff0ecom", [("Email", "zhang\uff20163\uff0ecom")]),
        ("tel13800138000", [("Phone", "13800138000")]),
        ("(010) 6552 9988", [("Phone", "(010) 6552 9988")]),
        ("0755-82345678", [("Phone", "0755-82345678")]),
        ("+1 (415) 555-2671 2026-01-01", [("Phone", "+1 (415) 555-2671")]),
        (FULL_WIDTH, [("Phone", FULL_WIDTH)]),
        ("13800138000@163.com", [("Email", "13800138000@163.com")]),
        ("13900139000-13800138000", [("Phone", "13900139000"), ("Phone", "13800138000")]),
        ("a@b.com+1 (294) 286-3188", [("Email", "a@b.com"), ("Phone", "+1 (294) 286-3188")]),
        ("12 15 18 20 22 24 26 28 30 13800138000 12", [("Phone", "13800138000")]),
        ("\u8eab\u4efd\u8bc111010519491231002X\u3002", [("IDCard", "11010519491231002X")]),
        ("4111-1111-1111-1111", [("BankCard", "4111-1111-1111-1111")]),
        ("378282246310005", [("BankCard", "378282246310005")]),
        ("http://10.0.0.1:80", [("IPAddress", "10.0.0.1")]),
        ("192.168.1.255/24", [("IPAddress", "192.168.1.255")]),
        ("IP:2001:db8::8a2e:370:7334", [("IPAddress", "2001:db8::8a2e:370:7334")]),
        ("fe80::1%eth0", [("IPAddress", "fe80::1")]),
        ("passport no. X1234567", [("Passport", "X1234567")]),
        ("\u8bc1\u4ef6\u53f7\u7801\uff1aE12345678", [("Passport", "E12345678")]),
        ("\u5458\u5de5EMP-9999\u3002", [("employee", "EMP-9999")]),
        ("\u5de5\u53f71234", [("works-id", "\u5de5\u53f71234")]),
        ("<EMAIL_1> x@y.com <PHONE_2_abc234>", [("Email", "x@y.com")]),
    ],
)  # fmt: skip
def test_found(text: str, wanted: list[tuple[str, str]]) -> None:
    assert found(text, DETECTOR) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "git clone git@github.com:a/b.git; logo@2x.png; @someone; pkg@1.2.3",
        "0755-12345678",  # no number of China's begins with 1 after an area
        "ORD-13912345678",
        "a13800138000f",
        "3.13800138000",
        "138001380001",
        "11010519491231002Y 110105194912310021 110105199913310021",  # wrong check digits, month 13
        "4111111111111112 1234567812345670",  # wrong check digit; no issuer
        "1.2.3.4.5 v1.2.3.4 version 1.2.3.4 pkg==1.2.3.4 Chrome/120.0.60.109 256.1.1.1 01.2.3.4",
        "127.0.0.1 0.0.0.0 255.255.255.0 ::1 ::",
        "12:30:45 00:1A:2B:3C:4D:5E std::vector a::b face::feed",
        "order E12345678, \u8ba2\u5355\u53f7E12345678",
        "20261105 and 123456789",
        "EMP-123 EMP-1234567 XEMP-12345",
        "+10000000 2026-01-15 12:30 2026-01-16 3.14159265358979",
    ],
)
def test_not_found(text: str) -> None:
    assert found(text, DETECTOR) == []


def test_the_whole_corpus_is_found_and_clean_texts_are_left_alone() -> None:
    missed = [
        (case.id, value)
        for case in corpus.cases()
        for _, value in case.values
        if value not in {original for _, original in found(case.text, DETECTOR)}
    ]
    assert missed == []
    wrong = [text for text in corpus.clean() if found(text, DETECTOR)]
    assert len(wrong) <= 0.02 * corpus.CLEAN, wrong


def test_the_corpus_is_what_its_seed_makes_it() -> None:
    assert corpus.cases() == corpus.cases()
    assert corpus.cases(1) != corpus.cases(2)
    assert len({case.text for case in corpus.cases()}) > 450
    assert {kind for case in corpus.cases() for kind, _ in case.values} == corpus.VALUES.keys()


def test_every_border_in_every_case_is_one_that_a_chunk_may_have() -> None:
    for case in corpus.cases():
        whole = _redacted([case.text])
        assert _redacted(list(case.text)) == whole, case
    for case in corpus.cases()[::10]:
        whole = _redacted([case.text])
        for border in range(1, len(case.text)):
            assert _redacted([case.text[:border], case.text[border:]]) == whole, (case, border)


def _redacted(pieces: list[str]) -> str:
    redaction = Redaction(DETECTOR, Placeholders(SECRET).put)
    return "".join(map(redaction.feed, pieces)) + redaction.end()


def test_a_word_is_let_go_as_soon_as_it_can_be_no_address_any_more() -> None:
    redaction = Redaction(DETECTOR, Placeholders(SECRET).put)
    said = [
        redaction.feed(piece) for piece in ("Hello", " dear", " friend", "\uff0c", "\u4f60\u597d")
    ]
    assert said == ["", "Hello ", "dear ", "friend\uff0c", "\u4f60\u597d"]
    assert redaction.end() == ""


def test_what_is_held_back_has_a_bound() -> None:
    redaction = Redaction(DETECTOR, Placeholders(SECRET).put)
    told = sum(len(redaction.feed("abcdefgh")) for _ in range(1000))
    assert 8000 - told <= 430


@pytest.mark.parametrize("text", ["a" * 20_000 + "@", "1 " * 10_000, "1.2." * 5_000, ":" * 20_000])
def test_no_text_takes_long(text: str) -> None:
    """The bound is generous: what is quadratic would take minutes."""
    assert found(text, DETECTOR) == []


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("", "may match nothing"),
        ("a?", "may match nothing"),
        ("(a+)+b", "is no pattern from character 1 on"),
        ("a+", "is no pattern from character 2 on"),
        ("a.b", "is no pattern from character 2 on"),
        ("a|b", "is no pattern from character 2 on"),
        ("[z-a]", "is no pattern from character 1 on"),
        ("[^a]", "is no pattern from character 1 on"),
        ("a{3,2}", "repeats {3,2}"),
        ("ab{0}", "repeats {0}"),
        ("a{100}", "is no pattern from character 2 on"),
        ("\\w", "is no pattern from character 1 on"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_explained(pattern: str, complaint: str) -> None:
    with pytest.raises(ValueError, match="^" + complaint.replace("{", r"\{").replace("}", r"\}")):
        user_patterns.parse(pattern)


def test_the_costliest_pattern_of_all_is_fast() -> None:
    costly = "a" + "a?" * 48
    assert found("a" * 200 + "b", detector(patterns={"costly": costly})) == []


def test_the_same_original_has_the_same_placeholder_and_another_has_another() -> None:
    placeholders = Placeholders(SECRET)
    rule = next(hit.rule for hit in DETECTOR.hits(b"x@y.com"))
    said = [placeholders.put(rule, original) for original in ("a@b.com", "c@d.com", "a@b.com")]
    assert said == ["<EMAIL_1>", "<EMAIL_2>", "<EMAIL_1>"]


def test_hashes_are_the_same_in_all_conversations_and_need_the_key() -> None:
    hashing = detector(Policy.HASH)
    said = {
        _hashed("x@y.com", hashing, SECRET), _hashed("x@y.com", hashing, SECRET),
        _hashed("x@y.com", hashing, b"another"), _hashed("z@y.com", hashing, SECRET),
    }  # fmt: skip
    assert len(said) == 3
    assert all(text.startswith("<EMAIL_") and len(text) == len("<EMAIL_>") + 12 for text in said)


def _hashed(text: str, by: object, secret: bytes) -> str:
    redaction = Redaction(by, Placeholders(secret).put)  # type: ignore[arg-type]
    return redaction.feed(text) + redaction.end()
