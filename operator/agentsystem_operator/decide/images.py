"""Whether a spec may name the image that it names, by the patterns that the operator was given.

Imported by the settings and the engine. A reference is taken apart as container runtimes do it
(registry, repository, tag, digest) and each part is compared with the same part of a pattern, so
that no spelling of one part can pass for another. What cannot be taken apart is not allowed.
"""

import re
from dataclasses import dataclass

from agentsystem_operator.api.reasons import Reason
from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.decide.references import Fault

DOCKER_HUB = "docker.io"
"""The registry of references that name none."""
PATTERNS_MAX = 100
PATTERN_CHARACTERS = 512
_NAMED_AT_MOST = 5

_HOST = re.compile(r"[a-z0-9]+(?:(?:[.]|-+)[a-z0-9]+)*(?::[0-9]+)?")
_SEGMENT = re.compile(r"[a-z0-9]+(?:(?:[.]|_{1,2}|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9._]{0,127}")
_DIGEST = re.compile(r"[A-Za-z0-9]+(?:[-+._][A-Za-z0-9]+)*:[0-9a-fA-F]{32,}")


@dataclass(frozen=True, slots=True)
class Reference:
    """An image reference taken apart, or a pattern for one."""

    registry: str
    """Host and port, in lower case: hosts know no other."""
    segments: tuple[str, ...]
    """The repository, by its slashes."""
    tag: str
    """Empty when none is stated."""
    digest: str
    """Empty when none is stated; otherwise it decides what is pulled, and the tag does not."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The images that specs may name: every one, when there are no patterns."""

    patterns: tuple[str, ...] = ()
    default: str = ""
    """The operator's own default, which may always be named."""

    def allows(self, image: str) -> bool:
        """Say whether a spec may name that image."""
        if not self.patterns or (self.default and image == self.default):
            return True
        named = parse(image)
        return named is not None and any(_fits(_taken_apart(p), named) for p in self.patterns)


def faults(spec: AgentSystemSpec, allowed: Allowed) -> tuple[Fault, ...]:
    """Return what is wrong with the images that the spec names.

    What an agent was started with before counts only when the spec still names it: the defaults
    of earlier operators were chosen by whoever chooses the patterns.
    """
    image = spec.runtime.image
    if image is None or allowed.allows(image):
        return ()
    some = ", ".join(allowed.patterns[:_NAMED_AT_MOST])
    more = len(allowed.patterns) - _NAMED_AT_MOST
    listed = f"{some} and {more} more patterns" if more > 0 else some
    message = (
        f"image '{image}' is not allowed by this operator, which allows {listed};"
        " name another, or ask the operator's administrator"
    )
    return (Fault(Reason.IMAGE_NOT_ALLOWED, "spec.runtime.image", message),)


def parse(image: str) -> Reference | None:
    """Return a reference taken apart; None when it is not one that a runtime would pull.

    "nginx" is docker.io/library/nginx, as everywhere.
    """
    found = _taken_apart(image)
    good = (
        _HOST.fullmatch(found.registry)
        and all(_SEGMENT.fullmatch(segment) for segment in found.segments)
        and (not found.tag or _TAG.fullmatch(found.tag))
        and (not found.digest or _DIGEST.fullmatch(found.digest))
    )
    return found if good and not _ends_early(image) else None


def pattern_problem(pattern: str) -> str:
    """Return what is wrong with a pattern, "" when it is one."""
    if not pattern or len(pattern) > PATTERN_CHARACTERS:
        return f"must have 1 to {PATTERN_CHARACTERS} characters"
    if not re.fullmatch(r"[-A-Za-z0-9._:/@*+]+", pattern):
        return "may hold letters, digits and -._:/@+ besides '*'"
    found = _taken_apart(pattern)
    if not _names_registry(pattern) or not all(found.segments):
        return "must name a registry and a repository, such as registry.example/team/*"
    if any("**" in segment and segment != "**" for segment in found.segments):
        return "may hold '**' only as a whole part between slashes"
    if "**" in found.registry + found.tag + found.digest:
        return "may hold '**' only in the repository"
    return "has an empty tag or digest" if _ends_early(pattern) else ""


def _taken_apart(text: str) -> Reference:
    """Return the parts of a reference or a pattern, without any judgement."""
    name, _, digest = text.partition("@")
    registry, path = DOCKER_HUB, name
    if _names_registry(name):
        registry, _, path = name.partition("/")
    *before, last = path.split("/")
    last, _, tag = last.partition(":")
    registry = registry.lower()
    if registry == "index.docker.io":
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and not before and last != "**":
        before = ["library"]
    return Reference(registry, (*before, last), tag, digest)


def _names_registry(text: str) -> bool:
    """Say whether the first part can only be a registry, and no part of a repository.

    That is so when it has a dot, a port, a star or a capital letter, or is "localhost".
    """
    first, slash, _ = text.partition("/")
    return bool(slash) and (first == "localhost" or re.search(r"[.:*A-Z]", first) is not None)


def _ends_early(text: str) -> bool:
    """Say whether a tag or digest is announced and then missing."""
    name = text.partition("@")[0]
    return text.endswith("@") or name.endswith(":")


def _fits(pattern: Reference, image: Reference) -> bool:
    """Compare part by part.

    A pattern with a tag and no digest fits no reference with a digest, since that may be any
    image whatever tag it carries.
    """
    if pattern.digest:
        by_version = _glob(pattern.digest, image.digest) and (
            not pattern.tag or _glob(pattern.tag, image.tag)
        )
    else:
        stated = image.tag or "latest"
        by_version = not pattern.tag or (not image.digest and _glob(pattern.tag, stated))
    return (
        by_version
        and _glob(pattern.registry, image.registry)
        and _segments_fit(pattern.segments, image.segments)
    )


def _segments_fit(pattern: tuple[str, ...], image: tuple[str, ...]) -> bool:
    """Say whether a repository fits; `**` stands for one or more of its parts."""
    reached = {0}
    for part in pattern:
        if part == "**":
            first = min(reached) + 1
            reached = set(range(first, len(image) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(image) and _glob(part, image[at])}
        if not reached:
            return False
    return len(image) in reached


def _glob(pattern: str, text: str) -> bool:
    """Say whether all of a part fits; `*` stands for any characters, none among them.

    Without backtracking: of several ways to fit, the leftmost is as good as any.
    """
    if "*" not in pattern:
        return pattern == text
    first, *middle, last = pattern.split("*")
    if len(text) < len(first) + len(last):
        return False
    if not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
