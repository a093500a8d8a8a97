"""A script is checked when it is loaded: a request can never meet a broken rule."""

import pytest

from agent_runtime.problems import Invalid
from agent_runtime.providers import pattern_cost, script


def problems(text: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        script.parse(text, path="answers")
    return [str(problem) for problem in caught.value.problems]


def test_no_text_means_the_built_in_script() -> None:
    assert script.parse(None, path="answers").rules


def test_an_empty_text_is_a_script_with_defaults() -> None:
    assert script.parse("", path="answers") == script.Script.model_validate({})


def test_every_wrong_field_of_a_script_is_named() -> None:
    found = problems(
        """
fallback: hello
latency: {firstTokenSeconds: fast}
rules:
  - {match: "a(", answer: x}
  - {match: ok}
  - {match: ok, answer: "hello {name}"}
faults:
  - {kind: status, every: 0, status: 200}
"""
    )
    assert [text.partition(": ")[0] for text in found] == [
        "answers.fallback",
        "answers.faults[0].every",
        "answers.faults[0].status",
        "answers.latency.firstTokenSeconds",
        "answers.rules[0].match",
        "answers.rules[1]",
        "answers.rules[2]",
    ]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("[1, 2]", "must be an object"),
        ("a: [", "not valid YAML; see line"),
        ("default: yes", "must be a string; put the value in quotes"),
        ("faults: [{kind: status}]", "needs `status` exactly when kind is status"),
        ("faults: [{kind: connect, status: 500}]", "needs `status` exactly when kind is status"),
        ("rules: [{match: a, answer: b, recall: c}]", "recall and otherwise belong together"),
        ("default: 'hi {name}'", r"it uses {name}"),
        ("a: &a [x]\nb: [*a, *a]", "alias"),
        ("[" * 900, "nested too deeply"),
        ("default: 2020-13-01", "holds a value that is none"),
        ("a: " + "x" * (1 << 20), "larger than 1 MiB"),
    ],
)
def test_a_mistake_is_explained(text: str, want: str) -> None:
    assert any(want in problem for problem in problems(text))


def test_a_placeholder_may_name_a_group_of_recall() -> None:
    text = """
rules:
  - {match: who, recall: 'i am (?P<name>\\w+)', answer: "{name} at {turn}", otherwise: "{agent}?"}
"""
    assert script.parse(text, path="answers").rules[0].answer == "{name} at {turn}"


@pytest.mark.parametrize(
    "pattern",
    [r"my name is (?P<name>\w+)", r"(?i)order\s+#?(?P<id>\d+)", r"a|b", r"(?:cat|dog)s?", r"[(+*]+",
     r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}",
     r"(?i)\b(hello|hi|hey)\b.*(mon|tues|wednes|thurs|fri)day", "|".join(["some", "word"] * 20),
     r"\(?#\d", r"(?i)my favou?rite (?P<thing>\w+) is (?P<value>\w+)",
     r"\(\*+", r"(?P<a>x)\s*(?P=a)", "[]a]+", "[^]a]*"],
)  # fmt: skip
def test_ordinary_patterns_are_accepted(pattern: str) -> None:
    assert pattern_cost.objection(pattern) is None


@pytest.mark.parametrize(
    "pattern",
    [r"(a+)+", r"(a|aa)*", r"((a?))+", r"(?:x(?:a*)){2,}", "a*a*a*a*b", "a" * 201, "(",
     "a{99999999999}", "a?" * 60 + "b", "(a|a)" * 30 + "b", "(a??)" * 30, "((a|a)(a|a)){7}" * 3,
     "(a|a)(a|a)a*a*a*b", "(?#[)(a+)+b(?#])", "(?x)a # [)\n(a+)+b #]", "(?ix:a) # [)\n(a+)+b #]"],
)  # fmt: skip
def test_patterns_that_could_take_for_ever_are_refused(pattern: str) -> None:
    complaint = pattern_cost.objection(pattern)
    assert complaint is not None
    assert "; " in complaint


@pytest.mark.parametrize(
    "text", ["default: !!int ''", "default: !!bool x", "default: !!timestamp x", "a: !!float ''"]
)
def test_a_value_that_contradicts_its_tag_is_a_mistake_in_the_file(text: str) -> None:
    assert problems(text) == ["answers: holds a value that is none; put it in quotes"]
