"""Which images a spec may name: every part of a reference is compared with its own pattern."""

from __future__ import annotations

import pytest

from agentsystem_operator.api import resource
from agentsystem_operator.api.reasons import Reason
from agentsystem_operator.decide import images
from agentsystem_operator.decide.images import Allowed, Reference
from tests import builders

SHA = "sha256:" + "0123456789abcdef" * 4
TEAM = "registry.example/team/*"


def reference(image: str) -> Reference:
    found = images.parse(image)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("image", "want"),
    [
        ("nginx", Reference("docker.io", ("library", "nginx"), "", "")),
        ("index.docker.io/nginx:1", Reference("docker.io", ("library", "nginx"), "1", "")),
        ("team/app", Reference("docker.io", ("team", "app"), "", "")),
        ("localhost/app:dev", Reference("localhost", ("app",), "dev", "")),
        ("localhost:5000/app", Reference("localhost:5000", ("app",), "", "")),
        ("REGISTRY.example/a/b:T", Reference("registry.example", ("a", "b"), "T", "")),
        (f"a.b/c:1@{SHA}", Reference("a.b", ("c",), "1", SHA)),
    ],
)
def test_a_reference_is_read_as_container_runtimes_read_it(image: str, want: Reference) -> None:
    assert reference(image) == want


@pytest.mark.parametrize(
    "image",
    [
        "",
        "registry.example/team/../evil/app",
        "registry.example//app",
        "registry.example/team/app/",
        "registry.example./team/app",
        "registry.example/Team/app",
        "registry.example/team/app:",
        "registry.example/team/app@",
        f"registry.example/team/app:@{SHA}",
        "registry.example/team/app:1:2",
        "registry.example/team/app@sha256:short",
        f"registry.example/team/app@{SHA}@{SHA}",
        "user@registry.example/team/app",
        "registry.example:5000:80/team/app",
        "registry.example/team:1/app",
        "registry.example/team/app\n",
    ],
)
def test_what_no_runtime_would_pull_is_not_allowed(image: str) -> None:
    assert images.parse(image) is None
    assert not Allowed(("*/**",)).allows(image)


ALLOWED = (
    (TEAM, "registry.example/team/app"),
    (TEAM, "registry.example/team/app:1.0"),
    (TEAM, f"registry.example/team/app:1.0@{SHA}"),
    (TEAM, "Registry.Example/team/app"),
    ("REGISTRY.example/team/*", "registry.example/team/app"),
    ("registry.example/**", "registry.example/app"),
    ("registry.example/**", "registry.example/a/b/c/app:1"),
    ("registry.example/**/app", "registry.example/a/b/app"),
    ("registry.example/team/app:1.*", "registry.example/team/app:1.2"),
    ("registry.example/team/app:latest", "registry.example/team/app"),
    ("registry.example/team/app@sha256:*", f"registry.example/team/app:any@{SHA}"),
    (f"registry.example/team/app:1@{SHA}", f"registry.example/team/app:1@{SHA}"),
    ("registry.example:5000/team/*", "registry.example:5000/team/app"),
    ("*.registry.example/team/*", "eu.registry.example/team/app"),
    ("docker.io/nginx", "nginx"),
    ("docker.io/library/*", "index.docker.io/nginx"),
    ("docker.io/**", "team/app"),
    ("localhost/*", "localhost/agent-runtime:dev"),
)
REFUSED = (
    ("another registry", TEAM, "evil.example/team/app"),
    ("the registry as a folder", TEAM, "evil.example/registry.example/team/app"),
    ("a longer registry", TEAM, "registry.example.evil.com/team/app"),
    ("a registry that ends alike", TEAM, "evil-registry.example/team/app"),
    ("another port", TEAM, "registry.example:5000/team/app"),
    ("no registry", TEAM, "team/app"),
    ("a longer team", TEAM, "registry.example/team-evil/app"),
    ("one level more", TEAM, "registry.example/team/sub/app"),
    ("one level less", TEAM, "registry.example/team"),
    ("the star is one part", "registry.example/*/app", "registry.example/a/b/app"),
    ("two stars are at least one part", "registry.example/team/**", "registry.example/team"),
    ("a longer name", "registry.example/team/app", "registry.example/team/app-evil"),
    ("the pattern as a tag", "registry.example/team/app", "evil:app"),
    ("another tag", "registry.example/team/app:1.*", "registry.example/team/app:2.0"),
    ("no tag is latest", "registry.example/team/app:1.*", "registry.example/team/app"),
    (
        "a digest under an allowed tag",
        "registry.example/team/app:1.*",
        f"registry.example/team/app:1.0@{SHA}",
    ),
    ("no digest", "registry.example/team/app@sha256:*", "registry.example/team/app:1.0"),
    (
        "an allowed digest under another tag",
        f"registry.example/team/app:1@{SHA}",
        f"registry.example/team/app:2@{SHA}",
    ),
    ("a subdomain of a subdomain's owner", "*.registry.example/**", "registry.example/app"),
    ("a port behind a star", "*.registry.example/**", "eu.registry.example:5000/app"),
    ("Docker Hub's other organisations", "docker.io/library/*", "team/nginx"),
)


@pytest.mark.parametrize(("pattern", "image"), ALLOWED)
def test_an_image_that_a_pattern_covers_is_allowed(pattern: str, image: str) -> None:
    assert images.pattern_problem(pattern) == ""
    assert Allowed(("other.example/x", pattern)).allows(image)


@pytest.mark.parametrize(
    ("pattern", "image"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_an_image_that_only_looks_like_an_allowed_one_is_refused(pattern: str, image: str) -> None:
    assert images.pattern_problem(pattern) == ""
    assert images.parse(image) is not None
    assert not Allowed((pattern,)).allows(image)


def test_without_patterns_everything_is_allowed_and_the_default_always() -> None:
    assert Allowed().allows("evil.example/app")
    assert Allowed((TEAM,), default="localhost/agent-runtime:dev").allows(
        "localhost/agent-runtime:dev"
    )
    assert not Allowed((TEAM,), default="").allows("")


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("", "1 to 512 characters"),
        ("x" * 513, "1 to 512 characters"),
        ("registry.example/a b", "may hold letters"),
        ("registry.example/a?", "may hold letters"),
        ("*", "must name a registry"),
        ("team/*", "must name a registry"),
        ("agent-runtime:1", "must name a registry"),
        ("registry.example/", "must name a registry"),
        ("registry.example//a", "must name a registry"),
        ("registry.example/a**", "only as a whole part"),
        ("**.example/a", "only in the repository"),
        ("registry.example/a:**", "only in the repository"),
        ("registry.example/a:", "empty tag or digest"),
        ("registry.example/a@", "empty tag or digest"),
    ],
)
def test_a_pattern_that_could_be_misread_is_refused(pattern: str, problem: str) -> None:
    assert problem in images.pattern_problem(pattern)


def test_a_fault_names_the_field_the_image_and_a_few_patterns() -> None:
    body = builders.system("one", "shop", runtime={"image": "evil.example/app"})
    parsed = resource.parse(body)
    assert isinstance(parsed, resource.AgentSystem)
    patterns = tuple(f"registry.example/{number}" for number in range(7))

    (fault,) = images.faults(parsed.spec, Allowed(patterns))

    assert (fault.reason, fault.path) == (Reason.IMAGE_NOT_ALLOWED, "spec.runtime.image")
    assert fault.message == (
        "image 'evil.example/app' is not allowed by this operator, which allows"
        " registry.example/0, registry.example/1, registry.example/2, registry.example/3,"
        " registry.example/4 and 2 more patterns; name another, or ask the operator's"
        " administrator"
    )
