"""Users' ConfigMaps: only referenced ones are kept, and a change is never missed."""

from __future__ import annotations

from agentsystem_operator.model.observed import Absent, Text
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.shell import contents as module
from agentsystem_operator.shell.contents import Contents, Seen

KEY = SystemKey("shop", "one")


def make(*names: str) -> tuple[Contents, list[SystemKey]]:
    told: list[SystemKey] = []
    contents = Contents(changed=told.append)
    contents.refer(KEY, set(names))
    return contents, told


def put(contents: Contents, name: str, content: Text | Absent) -> None:
    contents.put("shop", name, content, epoch=contents.epoch("shop", name))


def test_an_unreferenced_config_map_is_not_kept_and_wakes_nobody() -> None:
    contents, told = make("a")
    contents.saw(Seen("shop", "b", "1"))
    contents.gone(Seen("shop", "b", "2"))
    contents.saw(Seen("other", "a", "1"))
    put(contents, "b", Text({"k": "v"}))
    assert contents.get("shop", "b") is None
    assert told == []


def test_a_change_drops_the_content_and_wakes_its_users() -> None:
    contents, told = make("a")
    put(contents, "a", Text({"k": "v"}))
    contents.saw(Seen("shop", "a", "2"))
    assert contents.get("shop", "a") is None
    assert told == [KEY]
    contents.saw(Seen("shop", "a", "2"))
    assert told == [KEY]


def test_a_change_during_the_read_is_not_overwritten_by_its_answer() -> None:
    contents, told = make("a")
    before = contents.epoch("shop", "a")
    contents.saw(Seen("shop", "a", "2"))
    contents.put("shop", "a", Text({"k": "stale"}), epoch=before)
    assert contents.get("shop", "a") is None
    assert told == [KEY]


def test_absence_is_content_until_the_config_map_appears() -> None:
    contents, told = make("a")
    put(contents, "a", Absent())
    assert contents.get("shop", "a") == Absent()
    contents.saw(Seen("shop", "a", "5"))
    assert contents.get("shop", "a") is None
    assert told == [KEY]


def test_a_list_tells_of_deletions_that_the_watch_missed() -> None:
    contents, told = make("a", "b")
    contents.saw(Seen("shop", "a", "1"))
    contents.saw(Seen("shop", "b", "1"))
    put(contents, "a", Text({}))
    told.clear()
    contents.listed(None, found={("shop", "b")}, version="9", went_back=False)
    assert contents.get("shop", "a") is None
    assert told == [KEY]


def test_what_nobody_refers_to_any_more_is_forgotten() -> None:
    contents, told = make("a")
    put(contents, "a", Text({"k": "v"}))
    contents.refer(KEY, set())
    contents.saw(Seen("shop", "a", "2"))
    assert contents.get("shop", "a") is None
    assert told == []


def test_expecting_adds_to_what_is_referred_to() -> None:
    contents, told = make("a")
    contents.expect(KEY, {"b"})
    contents.saw(Seen("shop", "a", "1"))
    contents.saw(Seen("shop", "b", "1"))
    assert told == [KEY, KEY]


def test_memory_is_bounded_and_the_least_used_goes_first() -> None:
    contents, _ = make("a", "b", "c")
    big = Text({"k": "x" * (module.BYTES_MAX // 2)})
    put(contents, "a", big)
    put(contents, "b", Text({"k": "small"}))
    assert contents.get("shop", "a") is not None
    put(contents, "c", big)
    assert contents.get("shop", "b") is None
    assert contents.get("shop", "c") == big


def test_a_deletion_is_found_even_if_the_watch_never_told_of_the_config_map() -> None:
    contents, told = make("a", "b")
    put(contents, "a", Text({"k": "v"}))
    put(contents, "b", Absent())
    contents.listed(None, found=set(), version="9", went_back=False)
    assert contents.get("shop", "a") is None
    assert contents.get("shop", "b") == Absent()
    assert told == [KEY]
