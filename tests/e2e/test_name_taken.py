"""What is not ours stays as it is, and the user is told the way out."""

from __future__ import annotations

from tests import builders
from tests.kube import Kube, conditions, eventually, is_true


def taken(kube: Kube, ns: str) -> dict[str, object]:
    """ConfigValid of the system once it says NameTaken."""
    found = conditions(kube.get("AgentSystem", "shop", ns)).get("ConfigValid", {})
    return found if found.get("reason") == "NameTaken" else {}


def test_a_service_of_the_same_name_is_left_alone(operator: Kube, ns: str) -> None:
    """Nothing at all is written; deleting the stranger's Service lets the system come up."""
    ports = [{"port": 80, "protocol": "TCP", "targetPort": 8080}]
    operator.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "shop", "namespace": ns, "labels": {"app": "webshop"}},
            "spec": {"selector": {"app": "webshop"}, "ports": ports},
        }
    )
    before = operator.get("Service", "shop", ns)

    operator.apply(builders.system("shop", ns))
    condition = eventually("NameTaken", lambda: taken(operator, ns), within_s=30)

    assert "Service 'shop'" in str(condition["message"])
    assert operator.get("Service", "shop", ns) == before
    assert operator.list("Deployment", ns) == []

    operator.delete("Service", "shop", ns)
    eventually(
        "ready", lambda: is_true(operator.get("AgentSystem", "shop", ns), "Ready"), within_s=90
    )


def test_a_child_whose_owner_was_removed_is_not_taken_back(operator: Kube, ns: str) -> None:
    """Without our owner reference it may be somebody's: NameTaken, and nothing is written."""
    operator.apply(builders.system("shop", ns))
    eventually(
        "ready", lambda: is_true(operator.get("AgentSystem", "shop", ns), "Ready"), within_s=90
    )

    operator.patch("Service", "shop", ns, {"metadata": {"ownerReferences": None}})
    eventually("NameTaken", lambda: taken(operator, ns), within_s=30)
    assert "ownerReferences" not in (operator.get("Service", "shop", ns) or {})["metadata"]

    operator.delete("Service", "shop", ns)
    eventually(
        "ready", lambda: is_true(operator.get("AgentSystem", "shop", ns), "Ready"), within_s=90
    )
