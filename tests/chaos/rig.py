"""What a chaos case runs in: its own namespace, user, Lease, proxy and namespaced operator.

Cases know nothing of each other, so many run side by side in one event loop. `Rig` is what they
share: the cluster, the proxies' authority, and pods that become ready. A case is used like this:

    async with rig.case(seed=1) as case:
        operator = await case.operator()           # started, behind operator.proxy
        await case.apply(builders.system(SYSTEM, case.ns))
        await case.settle()
        operator.proxy.script = faults.at_write(operator.proxy.record.written + 3, Signal("kill"))
        await case.apply(...)                      # an edit
        await operator.wait_for_disturbance()
        settled_s = await case.settle()            # raises NotReached if it does not
        world = await fingerprint.world(case.admin, case.ns, SYSTEM)

A fault that no Signal brings about (an answer, a held event) is noted by `operator.disturb()`, so
that settling is measured from the last one. `trial.run` does all that for a story and judges it.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from tests import builders
from tests.chaos import authority
from tests.chaos.admin import Admin, eventually
from tests.chaos.operator_process import Supervised
from tests.chaos.past import Past
from tests.chaos.pods import ReadyPods
from tests.chaos.prefork import Press
from tests.chaos.proxy import Proxy
from tests.conftest import ROOT
from tests.kube import Object

QUIET_S = 11.0
"""How long nothing may be written before a case counts as settled: counts in a status are written
10 s after the last movement, and belong to settling."""
SETTLE_S = 30.0
"""How long settling may take after the last fault: judged at the end."""
STUCK = 3
"""While a rollout goes on the silence has to last so many times longer."""
PATIENCE_S = 180.0
"""How long a case waits for its settling before it gives up looking."""
FAULT_S = 180.0
"""How long a case waits for the request at which its fault is to strike."""
SYSTEM = "sys"
RIGHTS = "agentsystem-chaos"
CRD = ROOT / "crds" / "agentsystems.agentsystem.dev.yaml"
TOKEN_S = 4 * 3600
COLLECTOR_S = 120.0
"""How long the garbage collector may take to learn of a new kind."""


class Operator:
    """One operator of a case: its process and the proxy that it takes for the apiserver."""

    def __init__(self, name: str, user: str, proxy: Proxy, process: Supervised) -> None:
        self.name = name
        self.user = user
        """Its user's name in the apiserver's audit log."""
        self.proxy = proxy
        self.process = process
        self.disturbed = 0.0
        """On the monotonic clock, when a fault last hit it."""
        self.past: Past | None = None
        """What the lists showed at the Signal `remember`."""
        proxy.signalled = self._take

    def disturb(self) -> None:
        """Note that a fault hits it now."""
        self.disturbed = time.monotonic()

    async def wait_for_disturbance(self) -> None:
        """Return when a fault has hit it; raises NotReached when none comes."""
        await eventually("the fault hits", self._is_disturbed, within_s=FAULT_S)

    async def wait_until_acting(self) -> None:
        """Return when it leads, with filled caches, after the last fault."""
        await eventually("the operator leads", self._acts, within_s=PATIENCE_S)

    async def wait_until_standing_by(self) -> None:
        """Return when it has looked at the Lease, with filled caches."""
        await eventually("the operator stands by", self._stands_by, within_s=PATIENCE_S)

    async def _stands_by(self) -> bool:
        return any(e.asked.is_lease and e.upstream for e in self.proxy.record.entries)

    async def _is_disturbed(self) -> bool:
        return self.disturbed > 0

    async def _acts(self) -> bool:
        return self.is_acting

    @property
    def is_acting(self) -> bool:
        """Say whether it has renewed its Lease since the last fault."""
        return any(
            entry.is_committed and entry.asked.is_lease and entry.began > self.disturbed
            for entry in reversed(self.proxy.record.entries)
            if entry.asked.verb in ("create", "update")
        )

    async def _take(self, signal: str) -> None:
        actions: dict[str, Callable[[], Awaitable[None]]] = {
            "kill": self.process.kill,
            "hold down": self.process.hold_down,
            "freeze": self._freeze,
            "remember": self._remember,
        }
        await actions[signal]()
        self.disturb()

    async def _freeze(self) -> None:
        self.process.freeze()

    async def _remember(self) -> None:
        self.past = await self.proxy.snapshot()


class Case:
    """One case's part of the cluster."""

    def __init__(self, rig: Rig, ns: str, *, seed: int, stack: AsyncExitStack) -> None:
        self.rig = rig
        self.admin = rig.admin
        self.ns = ns
        self.seed = seed
        self.operators: list[Operator] = []
        self.changed = time.monotonic()
        """On the monotonic clock, when the case last changed what is declared."""
        self._stack = stack

    async def operator(self, name: str = "a", *, identity: str = "") -> Operator:
        """Start an operator with a user and a proxy of its own; it ends with the case."""
        user = f"operator-{name}"
        await self._grant(user)
        proxy = Proxy(self.rig.upstream, tls=self.rig.authority.tls, seed=self.seed)
        await proxy.start()
        self._stack.push_async_callback(proxy.stop)
        kubeconfig = self.rig.folder / f"{self.ns}-{name}.kubeconfig"
        token = await self._token(user)
        kubeconfig.write_text(_kubeconfig(proxy.url, self.rig.authority.ca.decode(), token))
        kubeconfig.chmod(0o600)
        process = Supervised(
            self.rig.press,
            kubeconfig=kubeconfig,
            log=self.rig.folder / f"{self.ns}-{name}.log",
            namespace=self.ns,
            identity=identity or f"pod-{name}",
        )
        self._stack.push_async_callback(process.stop)
        process.start()
        found = Operator(name, f"system:serviceaccount:{self.ns}:{user}", proxy, process)
        self.operators.append(found)
        return found

    async def apply(self, body: Object) -> Object:
        """Declare something; what is written afterwards is measured from now."""
        self.changed = time.monotonic()
        return await self.admin.apply(body)

    async def delete(self, kind: str, name: str) -> None:
        """Delete something; what is written afterwards is measured from now."""
        self.changed = time.monotonic()
        await self.admin.delete(kind, name, self.ns)

    async def system(self) -> Object | None:
        """Return the AgentSystem."""
        return await self.admin.get("AgentSystem", SYSTEM, self.ns)

    async def settle(self, *, within_s: float = PATIENCE_S, quiet_s: float = QUIET_S) -> float:
        """Return, once nothing is written any more, how long after the last disturbance it was.

        Raises NotReached when something is still written after `within_s`, or when the status does
        not speak about the current spec.
        """
        began = max([self.changed, *(operator.disturbed for operator in self.operators)])
        await eventually(
            f"{self.ns}: settled", lambda: self._is_settled(quiet_s), within_s=within_s + quiet_s
        )
        last = max(operator.proxy.record.last_write() for operator in self.operators)
        return max(last - began, 0.0)

    async def _is_settled(self, quiet_s: float) -> bool:
        last = max(
            max(self.changed, operator.disturbed, operator.proxy.record.last_write())
            for operator in self.operators
        )
        quiet = time.monotonic() - last
        if quiet < quiet_s or not any(operator.is_acting for operator in self.operators):
            return False
        system = await self.system()
        if system is None:
            return not await self._owned()
        # Pods that are slow to become ready make no writes of ours; a rollout that is stuck ends
        # the waiting all the same.
        patience = quiet_s * (STUCK if _is_moving(system) else 1)
        seen = system.get("status", {}).get("observedGeneration")
        return bool(seen == system["metadata"]["generation"]) and quiet >= patience

    async def _owned(self) -> bool:
        """Say whether the garbage collector still has to delete a child."""
        kinds = ("Deployment", "ReplicaSet", "Service", "ConfigMap", "ServiceAccount")
        found = [
            await self.admin.list(kind, self.ns, labels="agentsystem.dev/system") for kind in kinds
        ]
        return any(child["metadata"].get("ownerReferences") for items in found for child in items)

    async def is_collected(self) -> bool:
        """Say whether each ReplicaSet still has its Deployment, or went with it."""
        deployments, sets = [
            [each["metadata"] for each in await self.admin.list(kind, self.ns)]
            for kind in ("Deployment", "ReplicaSet")
        ]
        owners = [ref["uid"] for each in sets for ref in each.get("ownerReferences", [])]
        return {each["uid"] for each in deployments}.issuperset(owners)

    async def _grant(self, user: str) -> None:
        """Give the user, in this namespace only, what config/rbac gives the operator."""
        account = {"kind": "ServiceAccount", "name": user, "namespace": self.ns}
        meta = {"name": user, "namespace": self.ns}
        await self.admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
        for role in (RIGHTS, f"{RIGHTS}-leader"):
            ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
            await self.admin.apply(
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "RoleBinding",
                    "metadata": {"name": f"{user}-{role}", "namespace": self.ns},
                    "roleRef": ref,
                    "subjects": [account],
                }
            )

    async def _token(self, user: str) -> str:
        path = f"/api/v1/namespaces/{self.ns}/serviceaccounts/{user}/token"
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_S},
        }
        found = await self.admin.call("POST", path, body)
        assert found is not None
        return str(found["status"]["token"])


class Rig:
    """What all cases of a run share."""

    def __init__(
        self, admin: Admin, press: Press, folder: Path, *, cluster: str, run: str, settle_s: float
    ) -> None:
        self.admin = admin
        self.press = press
        self.cluster = cluster
        """Name of the dev cluster, whose audit log may be asked."""
        self.folder = folder
        self.settle_s = settle_s
        self.upstream = admin.upstream()
        self.authority = authority.make(folder / "pki")
        self._run = run
        self._numbers = itertools.count(1)

    def keep(self, case: Case) -> str:
        """Write down what a failed case's operators asked and logged; returns where."""
        folder = self.folder / "failed" / case.ns
        folder.mkdir(parents=True, exist_ok=True)
        for operator in case.operators:
            entries = operator.proxy.record.entries
            lines = [f"{entry.began - entries[0].began:8.3f} {entry}\n" for entry in entries]
            (folder / f"{operator.name}.requests").write_text("".join(lines))
            if operator.process.log.exists():
                shutil.copy(operator.process.log, folder / f"{operator.name}.log")
        return f"see {folder}"

    @asynccontextmanager
    async def case(self, *, seed: int = 0) -> AsyncIterator[Case]:
        """Make a namespace for one case; everything in it is ended and removed afterwards."""
        ns = f"chaos-{self._run}-{next(self._numbers)}"
        await self.admin.apply(builders.namespace(ns))
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.admin.delete, "Namespace", ns)
            yield Case(self, ns, seed=seed, stack=stack)


@asynccontextmanager
async def running(
    kubeconfig: Path, folder: Path, *, settle_s: float = SETTLE_S
) -> AsyncIterator[Rig]:
    """Prepare a cluster for chaos cases: the CRD, the operator's rights, pods that become ready."""
    admin = Admin(kubeconfig)
    try:
        await admin.apply(yaml.safe_load(CRD.read_text()))
        path = "/apis/agentsystem.dev/v1alpha1/agentsystems"
        await eventually("the kind is served", lambda: admin.call("GET", path), within_s=30)
        await _collected(admin)
        for name, file in ((RIGHTS, "operator.yaml"), (f"{RIGHTS}-leader", "account/leader.yaml")):
            await admin.apply(_cluster_role(name, ROOT / "config" / "rbac" / file))
        nodes = await admin.call("GET", "/api/v1/nodes?limit=1")
        tasks = []
        if not (nodes or {})["items"]:
            tasks.append(asyncio.create_task(ReadyPods(admin).run()))
        press = Press()
        try:
            await press.start()
            cluster = kubeconfig.parent.name
            run = secrets.token_hex(3)
            yield Rig(admin, press, folder, cluster=cluster, run=run, settle_s=settle_s)
        finally:
            await press.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await admin.close()


async def _collected(admin: Admin) -> None:
    """Wait until the garbage collector knows the kind: it looks for new ones twice a minute."""
    name = f"probe-{secrets.token_hex(3)}"
    owner = await admin.apply(builders.system(name, "default"))
    body = builders.config_map(name, "default")
    body["metadata"]["ownerReferences"] = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": name,
            "uid": owner["metadata"]["uid"],
        }
    ]
    await admin.apply(body)
    await admin.delete("AgentSystem", name, "default")

    async def is_gone() -> bool:
        return await admin.get("ConfigMap", name, "default") is None

    await eventually("the garbage collector knows the kind", is_gone, within_s=COLLECTOR_S)


def _is_moving(system: Object) -> bool:
    """Say whether pods are still to come or to go."""
    agents = (system.get("status") or {}).get("agents") or []
    return conditions(system).get("Progressing") == "True" or any(
        agent.get("ready") != agent.get("desired") for agent in agents
    )


def conditions(system: Object) -> dict[str, str]:
    """Return the status of each condition by its type."""
    found = (system.get("status") or {}).get("conditions") or []
    return {condition["type"]: condition["status"] for condition in found}


def _cluster_role(name: str, file: Path) -> Object:
    """Return the rules of a file's first role under a name of ours, to be bound per namespace."""
    first: dict[str, Any] = next(iter(yaml.safe_load_all(file.read_text())))
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": first["rules"],
    }


def _kubeconfig(server: str, ca: str, token: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "chaos",
            "clusters": [{"name": "chaos", "cluster": {"server": server, **_inline(ca)}}],
            "users": [{"name": "operator", "user": {"token": token}}],
            "contexts": [{"name": "chaos", "context": {"cluster": "chaos", "user": "operator"}}],
        }
    )


def _inline(ca: str) -> dict[str, str]:
    return {"certificate-authority-data": base64.b64encode(ca.encode()).decode()}
