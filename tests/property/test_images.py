"""Patterns of allowed images: a stranger's registry or repository never fits."""

import re

from hypothesis import given
from hypothesis import strategies as st

from agentsystem_operator.api import types
from agentsystem_operator.decide import images
from agentsystem_operator.decide.images import Allowed

parts = st.text("ab1", min_size=1, max_size=4)
hosts = st.builds(
    lambda names, port: ".".join(names) + port,
    st.lists(parts, min_size=2, max_size=3),
    st.sampled_from(["", ":5000"]),
)
paths = st.lists(parts, min_size=1, max_size=3).map("/".join)
tags = st.sampled_from(["", ":1", ":1.2", ":latest"])
digests = st.sampled_from(["", "@sha256:" + "a" * 64])
named = st.builds(lambda *found: found, hosts, paths, tags, digests)
# Anything that the schema lets through, mostly broken.
written = st.from_regex(types.IMAGE_PATTERN, fullmatch=True) | st.text("aB1./:@-_", max_size=30)


@given(named)
def test_a_reference_is_allowed_by_itself(parts_of: tuple[str, str, str, str]) -> None:
    host, path, tag, digest = parts_of
    image = f"{host}/{path}{tag}{digest}"
    assert images.pattern_problem(image) == ""
    assert Allowed((image,)).allows(image)
    assert Allowed((f"{host}/{path}",)).allows(image)
    assert Allowed((f"{host}/**",)).allows(image)


@given(written, hosts, paths)
def test_what_is_allowed_comes_from_the_registry_and_folder_of_the_pattern(
    image: str, host: str, path: str
) -> None:
    if Allowed((f"{host}/{path}/**",)).allows(image):
        assert image.lower().startswith(f"{host}/{path}/")


@given(named, hosts)
def test_another_registry_is_another_image(parts_of: tuple[str, str, str, str], other: str) -> None:
    host, path, tag, digest = parts_of
    same = other == host
    assert Allowed((f"{host}/**",)).allows(f"{other}/{path}{tag}{digest}") is same
    assert not Allowed((f"{host}/**",)).allows(f"{other}/{host}/{path}{tag}{digest}") or same


@given(written)
def test_judging_never_fails_and_a_broken_reference_is_never_allowed(image: str) -> None:
    allowed = Allowed(("*/**",)).allows(image)
    assert allowed is (images.parse(image) is not None)


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_a_star_means_the_same_as_in_a_regular_expression(pattern: str, text: str) -> None:

    meant = re.fullmatch(pattern.replace("*", ".*"), text) is not None
    assert images._glob(pattern, text) is meant
