"""What the demo does, step by step."""

from __future__ import annotations

import os
import pathlib
import tempfile
import uuid

import yaml

from agentsystem_cli import chat, cluster, status
from demo import terminal
from images import build, deliver

NAMESPACE = "demo"
SYSTEM = "promptx"
SAMPLE = "config/samples/promptx.yaml"
STEPS = 6
# On a busy machine with two cores; a healthy one needs a tenth of it.
PATIENCE = "--timeout=180s"


class Demo:
    """One run of the demo on the dev cluster of a name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.steps = terminal.Steps(STEPS)

    def run(self, *, nodes: int) -> None:
        """Raise everything, hold the conversation; each step is fine when already done."""
        with self.steps.step(f"A Kubernetes cluster with {nodes} nodes (cluster '{self.name}')"):
            terminal.devcluster("up", "--name", self.name, "--nodes", str(nodes), show=True)
        with self.steps.step("The two images, built and loaded into every node"):
            built = build.build_all()
            deliver.load(built, self.name)
        with self.steps.step("The operator: kubectl apply -k config/default"):
            self.install(built)
        with self.steps.step(f"One custom resource: kubectl apply -f {SAMPLE}"):
            self.apply_sample()
        where = cluster.connect(self.kubeconfig(), None, NAMESPACE)
        with self.steps.step(f"How it is doing: agentsystem status {SYSTEM}"):
            print("\n".join(f"      {line}" for line in status.describe(where.system(SYSTEM))))
        with self.steps.step(f"A conversation through the Service '{SYSTEM}'"):
            self.converse(where)

    def kubeconfig(self) -> str:
        """The path of the cluster's kubeconfig; the user's own one is never touched."""
        return terminal.devcluster("kubeconfig", "--name", self.name).strip()

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl on the demo's cluster."""
        return terminal.devcluster("kubectl", "--name", self.name, "--", *arguments)

    def install(self, built: tuple[build.Built, ...]) -> None:
        """Apply `config/default`, marked so that another image under the same tag rolls it."""
        (operator,) = [image for image in built if image.image.target == "operator"]
        with tempfile.TemporaryDirectory() as folder:
            overlay = pathlib.Path(folder).resolve() / "kustomization.yaml"
            base = os.path.relpath(terminal.ROOT / "config/default", overlay.parent)
            overlay.write_text(yaml.safe_dump(marked(base, operator.key)))
            self.kubectl("apply", "--server-side", "-k", str(overlay.parent))
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", PATIENCE)
        self.kubectl(
            *("rollout", "status", "deployment/agentsystem-operator"),
            *("--namespace=agentsystem-system", PATIENCE),
        )

    def apply_sample(self) -> None:
        """Make the namespace, apply the sample, wait until it is Ready."""
        self.kubectl("apply", "--server-side", "-f", "demo/namespace.yaml")
        self.kubectl("apply", f"--namespace={NAMESPACE}", "-f", SAMPLE)
        self.kubectl(
            *("wait", f"--namespace={NAMESPACE}", "--for=condition=Ready", f"asys/{SYSTEM}"),
            PATIENCE,
        )

    def converse(self, where: cluster.Cluster) -> None:
        """Show an answer as it streams, that a session is remembered, and that others are not."""
        with_front = self.talk(where, agent=None)
        speak(with_front, "you", "Hello! My name is Ada.")
        remembered = speak(with_front, "you", "What is my name?")
        speak(self.talk(where, agent="poet"), "you, to the agent 'poet'", "A poem, please.")
        other = speak(self.talk(where, agent=None), "somebody else", "What is my name?")
        if "Ada" not in remembered or "Ada" in other:
            raise terminal.DemoFailed("the session was not remembered as it should be")

    def talk(self, where: cluster.Cluster, *, agent: str | None) -> chat.Conversation:
        """A new session with the system."""
        session = f"demo-{uuid.uuid4()}"
        return chat.Conversation(where, SYSTEM, agent=agent, session=session)


def marked(base: str, key: str) -> dict[str, object]:
    """A kustomization of `config/default` with the image's key on the operator's pods."""
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "agentsystem-operator", "namespace": "agentsystem-system"},
        "spec": {"template": {"metadata": {"annotations": {"agentsystem.dev/image-key": key}}}},
    }
    return {"resources": [base], "patches": [{"patch": yaml.safe_dump(patch)}]}


def speak(talk: chat.Conversation, who: str, text: str) -> str:
    """Say something, show the answer as it comes, and return it."""
    print(f"      {who}: {text}\n      {talk.agent or SYSTEM}: ", end="", flush=True)
    pieces = []
    for piece in talk.send(text):
        print(piece, end="", flush=True)
        pieces.append(piece)
    print(flush=True)
    return "".join(pieces)
