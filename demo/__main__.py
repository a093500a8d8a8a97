"""`python -m demo up|down`: what `make demo` and `make demo-down` call."""

from __future__ import annotations

import argparse
import shutil
import sys

from agentsystem_cli import cluster
from demo import story, terminal
from images import tools

NEXT = """
Go on yourself. In this terminal:

  export KUBECONFIG={kubeconfig} PATH="$PWD/bin:$PATH"
{alias}
  agentsystem chat {system} -n {namespace}                 # go on talking; Ctrl-D ends
  kubectl get asys,deployments,pods,services -n {namespace}    # what the operator made of it

  # The same with any OpenAI client; `model` names an agent:
  kubectl port-forward -n {namespace} service/{system} 8000 &
  curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' \\
    -H 'X-Session-Id: mine' -d '{{"messages": [{{"role": "user", "content": "My name is Bo."}}]}}'

  # A real model, with your own key (config/samples/openai.yaml says more):
  kubectl create secret generic model-keys -n {namespace} --from-literal=openai="$OPENAI_API_KEY"
  kubectl apply -n {namespace} -f config/samples/openai.yaml
  agentsystem chat helpdesk -n {namespace}

  # Break it, change it, delete it, and watch:
  kubectl delete pod -n {namespace} -l agentsystem.dev/agent=front --grace-period=0 --force
  kubectl edit configmap {system}-answers -n {namespace}       # only its agent is rolled
  agentsystem status {system} -n {namespace}
  kubectl delete asys {system} -n {namespace}                  # its volumes stay

`make demo-down` removes the cluster and everything in it.
"""


def main() -> int:
    """Run the demo or remove it; a failed step becomes a message and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("command", choices=["up", "down"])
    parser.add_argument("--name", default="demo", help="the dev cluster (default: demo)")
    parser.add_argument("--nodes", type=int, default=2)
    asked = parser.parse_args()
    try:
        if asked.command == "down":
            terminal.devcluster("down", "--name", asked.name, show=True)
        else:
            up(asked.name, asked.nodes)
    except KeyboardInterrupt:
        print("\nInterrupted. `make demo` goes on from here, `make demo-down` removes all.")
        return 130
    except (terminal.DemoFailed, tools.BuildFailed, cluster.CannotProceed) as failed:
        print(f"\nThe demo stopped: {failed}", file=sys.stderr)
        print("`make demo` tries again from here; `make demo-down` removes all.", file=sys.stderr)
        return 1
    return 0


def up(name: str, nodes: int) -> None:
    """Run the story, and say how to go on."""
    demo = story.Demo(name)
    demo.run(nodes=nodes)
    own = f"  alias kubectl='{sys.executable} -m devcluster kubectl --name {name} --'\n"
    print(
        NEXT.format(
            kubeconfig=demo.kubeconfig(),
            alias="" if shutil.which("kubectl") else own,
            system=story.SYSTEM,
            namespace=story.NAMESPACE,
        )
    )
    print(f"The demo took {demo.steps.elapsed_s:.0f} s.")


if __name__ == "__main__":
    sys.exit(main())
