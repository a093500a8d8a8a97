"""`python -m images`: build both images; load them into running dev clusters, or push them.

What is in each is written beside its archive.
"""

from __future__ import annotations

import argparse
import os
import sys

from images import build, deliver, sbom, tools


def arguments() -> argparse.Namespace:
    """What the user asked for."""
    parser = argparse.ArgumentParser(prog="python -m images", description=__doc__)
    parser.add_argument("--repo", default="", help="push as REPO/agentsystem-operator and so on")
    parser.add_argument("--tag", default="", help="the tag to push (default: the version)")
    parser.add_argument("--push", action="store_true", help="push to --repo instead of loading")
    parser.add_argument("--cluster", help="load into this dev cluster only (default: all running)")
    parser.add_argument(
        "--load-with",
        default=os.environ.get("IMAGE_LOAD", ""),
        metavar="COMMAND",
        help="load with this command, which gets an archive's path, instead of into dev clusters",
    )
    parser.add_argument("--sbom", action="store_true", help="only build, and say what is inside")
    parser.add_argument("--fresh", action="store_true", help="take newest Debian packages")
    asked = parser.parse_args()
    if asked.push and not asked.repo:
        parser.error("--push needs --repo: where to? For example REPO=registry.example.com/team")
    if asked.repo and not asked.push:
        parser.error("--repo without --push does nothing: add PUSH=1")
    return asked


def perform(asked: argparse.Namespace) -> None:
    """Build, then load or push."""
    if asked.fresh:
        build.forget_all()
    built = build.build_all()
    for image in built:
        size = image.archive.stat().st_size / 1e6
        print(f"  {image.image.reference()}: {size:.0f} MB, {image.archive}")
        print(f"    its packages: {sbom.ensure(image)}")
    if asked.sbom:
        return
    if asked.push:
        deliver.push(built, asked.repo.rstrip("/"), asked.tag or deliver.version())
        return
    if asked.load_with and not asked.cluster:
        deliver.hand_over(built, asked.load_with)
        return
    for cluster in [asked.cluster] if asked.cluster else deliver.running_clusters():
        deliver.load(built, cluster)


def main() -> int:
    """Run, and turn a failed step into a message."""
    try:
        perform(arguments())
    except tools.BuildFailed as failed:
        print(f"images: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
