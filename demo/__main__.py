"""`python -m demo up|down|check`: what `make demo`, `make demo-down` and `make e2e` call.

Without a context it works on a dev cluster; with one, on the user's cluster of that context.
"""

from __future__ import annotations

import argparse
import os
import sys

from agentsystem_cli import cluster
from demo import existing, place, story, terminal
from images import deliver, tools

NEXT = """
Go on yourself. In this terminal:

{settings}
  agentsystem chat {system} -n {namespace}{context}                 # go on talking; Ctrl-D ends
  kubectl get asys,deployments,pods,services -n {namespace}    # what the operator made of it

  # The same with any OpenAI client; `model` names an agent:
  kubectl port-forward -n {namespace} service/{system} 8000 &
  curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' \\
    -H 'X-Session-Id: mine' -d '{{"messages": [{{"role": "user", "content": "My name is Bo."}}]}}'

  # A real model, with your own key (config/samples/openai.yaml says more):
  kubectl create secret generic model-keys -n {namespace} --from-literal=openai="$OPENAI_API_KEY"
  kubectl apply -n {namespace} -f config/samples/openai.yaml
  agentsystem chat helpdesk -n {namespace}{context}

  # Break it, change it, delete it, and watch:
  kubectl delete pod -n {namespace} -l agentsystem.dev/agent=front --grace-period=0 --force
  kubectl edit configmap {system}-answers -n {namespace}       # only its agent is rolled
  agentsystem status {system} -n {namespace}{context}
  kubectl delete asys {system} -n {namespace}                  # its volumes stay

{remove}
"""


def arguments() -> argparse.Namespace:
    """What the user asked for; make's variables arrive in the environment."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "check"])
    parser.add_argument("--name", default="demo", help="the dev cluster (default: demo)")
    parser.add_argument("--nodes", type=int, default=2)
    given = os.environ.get
    parser.add_argument("--context", default=given("CONTEXT", ""), help="of your kubeconfig")
    parser.add_argument("--image-load", default=given("IMAGE_LOAD", ""), metavar="COMMAND")
    parser.add_argument("--repo", default=given("REPO", ""), help="where the images were pushed")
    parser.add_argument("--tag", default=given("TAG", ""), help="their tag (default: the version)")
    parser.add_argument("--i-know", action="store_true", default=given("I_KNOW") == "yes")
    return parser.parse_args()


def main() -> int:
    """Run the demo or remove it; a failed step becomes a message and exit code 1, a refusal 2."""
    asked = arguments()
    again = {"up": "make demo", "down": "make demo-down", "check": "make e2e"}[asked.command]
    try:
        perform(asked, again)
    except KeyboardInterrupt:
        print("\nInterrupted. `make demo` goes on from here, `make demo-down` removes all.")
        return 130
    except existing.Refused as why:
        print(f"\nRefused: {why}", file=sys.stderr)
        return 2
    except (terminal.DemoFailed, tools.BuildFailed, cluster.CannotProceed) as failed:
        print(f"\nThe demo stopped: {failed}", file=sys.stderr)
        print("`make demo` tries again from here; `make demo-down` removes all.", file=sys.stderr)
        return 1
    return 0


def perform(asked: argparse.Namespace, again: str) -> None:
    """Carry out one command, on the dev cluster or on the context."""
    where = place_of(asked, again)
    if asked.command == "up":
        up(where)
    elif isinstance(where, place.DevCluster):
        terminal.devcluster("down", "--name", where.name, show=True)
    elif asked.command == "down":
        where.remove()
        print(f"Nothing of the demo is left on context '{where.context}'.")
    else:
        where.prepare()


def place_of(asked: argparse.Namespace, again: str) -> place.DevCluster | existing.Existing:
    """Where to work; Refused, before anything is done, when that needs another word."""
    if not asked.context and asked.command == "check":
        raise existing.Refused(f"which cluster? {again} CONTEXT=name-of-a-context")
    if not asked.context:
        return place.DevCluster(asked.name, asked.nodes)
    existing.require_consent(asked.context, i_know=asked.i_know, again=again)
    where = existing.Existing(
        asked.context,
        image_load=asked.image_load,
        repository=asked.repo.rstrip("/"),
        tag=asked.tag or deliver.version(),
        made_by="demo" if asked.command != "check" else "tests",
    )
    if asked.command != "down":
        existing.require_images(where, again)
    return where


def up(where: place.Place) -> None:
    """Run the story, and say how to go on."""
    demo = story.Demo(where)
    demo.run()
    on = where.go_on()
    print(
        NEXT.format(
            settings=on.settings,
            context=on.context,
            remove=on.remove,
            system=story.SYSTEM,
            namespace=story.NAMESPACE,
        )
    )
    print(f"The demo took {demo.steps.elapsed_s:.0f} s.")


if __name__ == "__main__":
    sys.exit(main())
