"""A cluster that is there already, as a context of the user's kubeconfig names it.

Invariants: nothing is sent to a cluster that does not look like a throw-away one before the user
said so; the kubeconfig is read and never written, so the current context stays; what others made
is neither changed nor removed.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import pathlib
import shutil
from typing import Any

from agentsystem_cli import cluster
from demo import installation, place, terminal
from devcluster import build as devcluster_build
from images import build, deliver

# Contexts as the tools for throw-away clusters name them; ours are `devcluster-<name>`.
THROW_AWAY = ("kind-*", "k3d-*", "minikube", "devcluster", "devcluster-*")
NAMESPACE = "demo"
MADE_BY = "agentsystem.dev/made-by"
# What `config/default` has outside of namespaces; the rest goes with its namespace.
CLUSTER_WIDE = (
    "customresourcedefinitions.apiextensions.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "priorityclasses.scheduling.k8s.io",
)
# A cluster that does not answer is not asked for longer than this.
ANSWER = "--request-timeout=20s"
REMOVAL = "--timeout=180s"


class Refused(Exception):
    """The cluster is not to be used as it was asked for; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class Existing:
    """The cluster of a context, and how its nodes get the images.

    `image_load` is a command that brings one archive to the nodes; `repository` and `tag` name
    images that were pushed before. Exactly one of the two ways is needed to install.
    """

    context: str
    image_load: str = ""
    repository: str = ""
    tag: str = ""
    made_by: str = "demo"

    @property
    def cluster_title(self) -> str:
        """Title of the first step."""
        return f"The cluster of your context '{self.context}'"

    @property
    def images_title(self) -> str:
        """Title of the second step."""
        if self.repository:
            return f"The two images, as {self.repository} has them (tag {self.tag})"
        return f"The two images, built and loaded: {self.image_load}"

    def prepare(self) -> None:
        """See that it answers, and that nothing of others would be changed."""
        version = json.loads(self.kubectl("get", "--raw", "/version", ANSWER))
        print(f"      Kubernetes {version.get('gitVersion', 'of unknown version')}", flush=True)
        self.refuse_what_others_made()

    def bring_images(self) -> place.Names:
        """Load the images with the user's command, or name those of the user's registry."""
        if self.repository:
            return pushed(self.repository, self.tag)
        built = build.build_all()
        deliver.hand_over(built, self.image_load)
        return place.names_of(built)

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl with this context, whatever the current one is."""
        return terminal.run(*kubectl_program(), "--context", self.context, *arguments)

    def connect(self, namespace: str) -> cluster.Cluster:
        """The cluster behind this context."""
        return cluster.connect(None, self.context, namespace)

    def marks(self) -> dict[str, str]:
        """The label by which `remove` finds what was installed."""
        return {MADE_BY: self.made_by}

    def go_on(self) -> place.GoOn:
        """With the user's kubeconfig and an alias, so that no current context is needed."""
        program = "kubectl" if shutil.which("kubectl") else " ".join(kubectl_program())
        consent = "" if looks_throw_away(self.context) else " I_KNOW=yes"
        return place.GoOn(
            settings='  export PATH="$PWD/bin:$PATH"\n'
            f"  alias kubectl='{program} --context {self.context}'\n",
            context=f" --context {self.context}",
            remove=f"`make demo-down CONTEXT={self.context}{consent}` removes what the demo made.",
        )

    def refuse_what_others_made(self) -> None:
        """Raise Refused when an operator or a namespace is there that we did not make."""
        for name in (
            f"customresourcedefinition/{installation.CRD}",
            f"namespace/{installation.NAMESPACE}",
            f"namespace/{NAMESPACE}",
        ):
            found = self._read(name)
            labels = found["metadata"].get("labels", {}) if found else self.marks()
            if labels.get(MADE_BY) != self.made_by:
                raise Refused(
                    f"context {self.context!r} has a {name} already, which this would change. "
                    "Use another cluster, or remove it first if it is yours."
                )

    def remove(self) -> None:
        """Remove what carries our mark, and what is in such namespaces; fine when nothing does.

        The resource definition takes every AgentSystem of the cluster along, so Refused is raised
        while somebody has one elsewhere.
        """
        if elsewhere := self._systems_of_others():
            raise Refused(
                f"nothing was removed: {', '.join(elsewhere)} would go with it. Delete these "
                "AgentSystems first, or leave the operator where it is."
            )
        marked = f"--selector={MADE_BY}={self.made_by}"
        quiet = ("--ignore-not-found", REMOVAL)
        self.kubectl("delete", "namespaces", marked, *quiet)
        self.kubectl("delete", ",".join(CLUSTER_WIDE), marked, *quiet)

    def write_kubeconfig(self, file: pathlib.Path) -> None:
        """Write a kubeconfig that holds this context only, readable by its owner only."""
        file.touch(mode=0o600)
        file.write_text(self.kubectl("config", "view", "--raw", "--flatten", "--minify"))

    def _read(self, name: str) -> dict[str, Any] | None:
        shown = self.kubectl("get", name, "--ignore-not-found", "--output=json", ANSWER)
        found: dict[str, Any] | None = json.loads(shown) if shown.strip() else None
        return found

    def _systems_of_others(self) -> list[str]:
        """AgentSystems, as namespace/name, in namespaces that are not ours and not going."""
        if not self._read(f"customresourcedefinition/{installation.CRD}"):
            return []
        stay = {
            meta["name"]
            for meta in self._metadata("namespaces")
            if "deletionTimestamp" not in meta
            and meta.get("labels", {}).get(MADE_BY) != self.made_by
        }
        systems = self._metadata(installation.CRD)
        return sorted(
            f"{at['namespace']}/{at['name']}" for at in systems if at["namespace"] in stay
        )

    def _metadata(self, resource: str) -> list[dict[str, Any]]:
        shown = self.kubectl("get", resource, "--all-namespaces", "--output=json", ANSWER)
        return [each["metadata"] for each in json.loads(shown)["items"]]


def looks_throw_away(context: str) -> bool:
    """Say whether a context is named as the tools for throw-away clusters name theirs."""
    return any(fnmatch.fnmatchcase(context, pattern) for pattern in THROW_AWAY)


def require_consent(context: str, *, i_know: bool, again: str) -> None:
    """Raise Refused for a context that may be of a cluster that matters, unless the user knows.

    `again` is the command to give once more, for the message. Nothing is read or sent.
    """
    if i_know or looks_throw_away(context):
        return
    raise Refused(
        f"context {context!r} does not look like a throw-away cluster ({', '.join(THROW_AWAY)}), "
        "and this installs an operator with rights in the whole cluster. If that is what you "
        f"want: {again} CONTEXT={context} I_KNOW=yes"
    )


def require_images(where: Existing, again: str) -> None:
    """Raise Refused unless exactly one way for the images was named."""
    if bool(where.image_load) == bool(where.repository):
        raise Refused(
            "how do the nodes get the images? Either IMAGE_LOAD='kind load image-archive' (any "
            "command that takes an archive's path as its last argument), or REPO=registry/team "
            f"after `make images REPO=registry/team PUSH=1`; for example: {again} "
            f"CONTEXT={where.context} IMAGE_LOAD='kind load image-archive'"
        )


def pushed(repository: str, tag: str) -> place.Names:
    """The images as they are named in a registry."""
    names = {
        image.target: image.reference(repository=repository, tag=tag) for image in build.IMAGES
    }
    return place.Names(operator=names["operator"], runtime=names["runtime"])


def kubectl_program() -> tuple[str, ...]:
    """The user's kubectl, or that of the dev clusters where one was built."""
    if found := shutil.which("kubectl"):
        return (found,)
    own = devcluster_build.directories()["kube"] / "devcluster-kube"
    if own.is_file():
        return (str(own), "kubectl")
    raise Refused("kubectl is not on the PATH; install it, as for any work with your cluster")
