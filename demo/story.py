"""What the demo does, step by step."""

from __future__ import annotations

import uuid

from agentsystem_cli import chat, cluster, status
from demo import installation, place, terminal

NAMESPACE = "demo"
SYSTEM = "promptx"
SAMPLE = "config/samples/promptx.yaml"
STEPS = 6
# On a busy machine with two cores; a healthy one needs a tenth of it.
PATIENCE = "--timeout=180s"


class Demo:
    """One run of the demo in one place."""

    def __init__(self, where: place.Place) -> None:
        self.where = where
        self.steps = terminal.Steps(STEPS)

    def run(self) -> None:
        """Raise everything, hold the conversation; each step is fine when already done."""
        with self.steps.step(self.where.cluster_title):
            self.where.prepare()
        with self.steps.step(self.where.images_title):
            names = self.where.bring_images()
        with self.steps.step("The operator: kubectl apply -k config/default"):
            self.install(names)
        with self.steps.step(f"One custom resource: kubectl apply -f {SAMPLE}"):
            self.apply_sample()
        where = self.where.connect(NAMESPACE)
        with self.steps.step(f"How it is doing: agentsystem status {SYSTEM}"):
            print("\n".join(f"      {line}" for line in status.describe(where.system(SYSTEM))))
        with self.steps.step(f"A conversation through the Service '{SYSTEM}'"):
            self.converse(where)

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl on the demo's cluster."""
        return self.where.kubectl(*arguments)

    def install(self, names: place.Names) -> None:
        """Apply `config/default` and wait until the operator runs."""
        installation.apply(self.where, names)
        self.kubectl("wait", "--for=condition=Established", f"crd/{installation.CRD}", PATIENCE)
        self.kubectl(
            *("rollout", "status", f"deployment/{installation.OPERATOR}"),
            *(f"--namespace={installation.NAMESPACE}", PATIENCE),
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


def speak(talk: chat.Conversation, who: str, text: str) -> str:
    """Say something, show the answer as it comes, and return it."""
    print(f"      {who}: {text}\n      {talk.agent or SYSTEM}: ", end="", flush=True)
    pieces = []
    for piece in talk.send(text):
        print(piece, end="", flush=True)
        pieces.append(piece)
    print(flush=True)
    return "".join(pieces)
