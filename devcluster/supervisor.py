"""The process inside: makes a cluster out of programs, keeps it running, and obeys the socket.

It runs below PID 1 of its own PID, mount and network namespace. When it ends, for whatever
reason, PID 1 ends and the kernel removes every process, mount and interface of the cluster.
"""

import functools
import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from devcluster import (
    client,
    control,
    control_plane,
    egress,
    fake_nodes,
    faults,
    launch,
    layout,
    machines,
    network,
    objects,
    pki,
    settings,
)
from devcluster.errors import DevClusterError
from devcluster.processes import Kept, run

APISERVER_LIMIT_S = 90.0
READY_LIMIT_S = 120.0


class Supervisor:
    """One running cluster."""

    def __init__(self, cluster: layout.Cluster, chosen: settings.Settings) -> None:
        self._cluster = cluster
        self._chosen = chosen
        self._nodes = layout.nodes(chosen.nodes)
        self._fakes = layout.fake_nodes(chosen.fake_nodes)
        self._told: list[str] = []
        self._news = threading.Condition()
        self._outcome: str | None = None  # "" when ready, else why not
        self._kept: dict[str, Kept] = {}
        self._machines = {
            node.name: machines.Machine(
                node, cluster, self._nodes, self._say, isolated=chosen.network_policies
            )
            for node in self._nodes
        }
        self._cables = {
            name: faults.Cable(machine, cluster.bridge, self._say)
            for name, machine in self._machines.items()
        }

    def run(self) -> int:
        """Boot and serve until a signal; return the exit code."""
        over = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: over.set())
        server = control.listen(self._cluster.socket)
        threading.Thread(target=control.serve, args=(server, self._handle), daemon=True).start()
        threading.Thread(target=self._boot, args=(over,), daemon=True).start()
        over.wait()
        return 1 if self._outcome else 0

    # boot

    def _boot(self, over: threading.Event) -> None:
        try:
            self._steps()
        except (DevClusterError, OSError) as exc:
            self._finish(str(exc))
            # those who wait read the reason first
            time.sleep(0.5)
            over.set()
        else:
            self._finish("")

    def _steps(self) -> None:
        since = datetime.now(tz=UTC).replace(microsecond=0)  # heartbeats have whole seconds
        prepare_mounts(self._cluster, self._chosen)
        network.prepare(self._cluster.bridge)
        write_files(self._cluster, self._nodes, way_out=self._way_out())
        self._say("starting etcd and the apiserver")
        self._keep(control_plane.etcd())
        for_load = bool(self._fakes or self._chosen.controller_qps)
        self._keep(control_plane.apiserver(fake_nodes=bool(self._fakes), for_load=for_load))
        self._keep(control_plane.relay(launch.LISTEN_DESCRIPTOR), (launch.LISTEN_DESCRIPTOR,))
        with ThreadPoolExecutor(max_workers=max(1, len(self._nodes))) as pool:
            # nodes boot while the apiserver does; kubelets try again until it answers
            booting = [pool.submit(machine.start) for machine in self._machines.values()]
            client.wait("apiserver ready", client.ready, APISERVER_LIMIT_S)
            self._say("apiserver answers; starting controllers")
            fake_nodes.prepare(self._fakes)
            self._keep(control_plane.controller_manager(self._chosen.controller_qps))
            if self._nodes or self._fakes:
                self._keep(control_plane.scheduler(self._chosen.controller_qps))
            if self._fakes:
                network.refuse(layout.FAKE_POD_RANGE)
                self._keep(fake_nodes.program())
            if self._nodes:
                for node in self._nodes:
                    client.apply(objects.node(node))
                for manifest in objects.addons():
                    client.apply(manifest)
                self._start_addons()
            for boot in booting:
                boot.result()
        self._await_usable(since)

    def _way_out(self) -> bool:
        """Open the way out and say whether it is there; a cluster without is still a cluster."""
        if not self._chosen.egress:
            return False
        try:
            egress.prepare()
            self._keep(egress.program(), egress.descriptors())
            egress.wait(lambda: self._kept[egress.NAME].running)
        except DevClusterError as exc:
            self._say(f"pods will not reach the internet: {exc}")
            if started := self._kept.pop(egress.NAME, None):
                started.stop()
            return False
        return True

    def _start_addons(self) -> None:
        self._keep(control_plane.service_proxy())
        self._keep(control_plane.coredns())
        self._keep(control_plane.metrics_server())
        self._keep(control_plane.provisioner())

    def _await_usable(self, since: datetime) -> None:
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        client.wait("service accounts", lambda: client.serves(account), READY_LIMIT_S)
        for node in self._nodes:
            self._say(f"waiting for {node.name}")
            ready = functools.partial(client.node_ready, node.name, since)
            client.wait(f"{node.name} ready", ready, READY_LIMIT_S)
        for fake in self._fakes:
            there = functools.partial(fake_nodes.ready, fake)
            client.wait(f"{fake.name} ready", there, READY_LIMIT_S)
        if self._nodes:
            self._say("waiting for DNS and the metrics API")
            client.wait("DNS", client.dns_ready, READY_LIMIT_S)
            # a namespace's deletion hangs while any registered API does not answer
            metrics = functools.partial(client.serves, "/apis/metrics.k8s.io/v1beta1")
            client.wait("metrics API", metrics, READY_LIMIT_S)

    def _keep(self, program: control_plane.Program, descriptors: tuple[int, ...] = ()) -> None:
        kept = Kept(
            program.name,
            program.command,
            layout.INSIDE_STATE / "logs",
            say=self._say,
            environment=dict(program.environment),
            descriptors=descriptors,
        )
        self._kept[program.name] = kept
        kept.start()

    # progress

    def _say(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
        with self._news:
            self._told.append(text)
            self._news.notify_all()

    def _finish(self, outcome: str) -> None:
        self._say(outcome or "ready")
        with self._news:
            self._outcome = outcome
            self._news.notify_all()

    # requests

    def _handle(
        self, request: control.Request, descriptor: int | None, say: control.Say
    ) -> dict[str, object]:
        match request.get("do"):
            case "wait":
                return self._wait(say)
            case "status":
                return self._status()
            case "stop" | "start" | "restart" as verb:
                return self._fault(str(verb), str(request["what"]), float(str(request["for"])))
            case "cut" | "loss" | "delay" | "mend" as verb:
                return self._network_fault(str(verb), str(request["what"]), str(request["how"]))
            case "load-image":
                return self._load_image(descriptor)
            case "node-pid":
                return {"pid": self._machine(str(request["what"])).pid}
            case other:
                raise DevClusterError(f"the supervisor knows no request '{other}'")

    def _wait(self, say: control.Say) -> dict[str, object]:
        # a cluster that is ready already has no news
        told = 0 if self._outcome is None else len(self._told)
        while True:
            with self._news:
                while told == len(self._told) and self._outcome is None:
                    self._news.wait()
                fresh, outcome = self._told[told:], self._outcome
            for text in fresh:
                say(text)
            told += len(fresh)
            if outcome:
                raise DevClusterError(outcome)
            if outcome is not None:
                return {}

    def _status(self) -> dict[str, object]:
        state = {None: "starting", "": "ready"}.get(self._outcome, "failed")
        return {
            "state": state,
            "processes": {name: kept.running for name, kept in self._kept.items()},
            "nodes": {name: machine.running for name, machine in self._machines.items()},
            "faults": {name: str(cable.faults) for name, cable in self._cables.items()},
            "fake_nodes": len(self._fakes),
            "controller_qps": self._chosen.controller_qps or control_plane.UPSTREAM_QPS,
        }

    def _fault(self, verb: str, what: str, pause_s: float) -> dict[str, object]:
        if what in self._machines:
            target: Kept | machines.Machine = self._machines[what]
        else:
            target = self._program(what)
        if verb in ("stop", "restart"):
            if what in self._cables:
                self._cables[what].forget()
            target.stop()
            time.sleep(pause_s)
        if verb in ("start", "restart"):
            target.start()
            if what in ("etcd", "apiserver", "kube-apiserver"):
                client.wait("apiserver ready", client.ready, APISERVER_LIMIT_S)
        return {}

    def _network_fault(self, verb: str, what: str, how: str) -> dict[str, object]:
        self._machine(what)
        cable = self._cables[what]
        match verb:
            case "cut":
                cable.cut(how)
            case "loss":
                cable.lose(float(how))
            case "delay":
                cable.delay(int(how))
            case _:
                cable.mend()
        return {}

    def _program(self, what: str) -> Kept:
        for name in (what, f"kube-{what}"):
            if name in self._kept:
                return self._kept[name]
        known = ", ".join([*self._machines, *self._kept])
        raise DevClusterError(f"this cluster has no '{what}'; it has: {known}")

    def _machine(self, name: str) -> machines.Machine:
        if name not in self._machines:
            known = ", ".join(self._machines) or "none"
            raise DevClusterError(f"this cluster has no node '{name}'; its nodes: {known}")
        return self._machines[name]

    def _load_image(self, descriptor: int | None) -> dict[str, object]:
        if descriptor is None:
            raise DevClusterError("load-image came without a file")
        running = [m for m in self._machines.values() if m.running]
        with ThreadPoolExecutor(max_workers=max(1, len(running))) as pool:
            said = list(pool.map(lambda m: m.load_image(descriptor), running))
        names = [machine.node.name for machine in running]
        return {"nodes": names, "images": said[0].strip() if said else ""}


def prepare_mounts(cluster: layout.Cluster, chosen: settings.Settings) -> None:
    """Hide the host's changing directories and put the cluster's own at short paths."""
    run("mount", "--make-rprivate", "/")
    # Bound first, in the cluster's own directory: the tmpfs below may cover the originals.
    hold = cluster.state / "mnt"
    hold.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "mode=0755", "devcluster", str(hold))
    for part in ("state", "bin", "tmp"):
        (hold / part).mkdir()
    run("mount", "--bind", str(cluster.state), str(hold / "state"))
    for module, directory in chosen.binaries.items():
        (hold / "bin" / module).mkdir()
        run("mount", "--bind", directory, str(hold / "bin" / module))
    for covered in ("/run", "/var/lib", "/var/log"):
        run("mount", "-t", "tmpfs", "-o", "mode=0755", "devcluster", covered)
    layout.INSIDE.mkdir()
    run("mount", "--rbind", str(hold), str(layout.INSIDE))
    run("umount", "--recursive", str(hold))
    (layout.INSIDE / "node").mkdir()


def write_files(cluster: layout.Cluster, nodes: tuple[layout.Node, ...], *, way_out: bool) -> None:
    """Write keys and configuration files; existing keys stay."""
    state = layout.INSIDE_STATE
    for part in ("kubeconfigs", "logs", "audit", "volumes", "nodes"):
        (state / part).mkdir(exist_ok=True)
    keys = control_plane.KEYS
    pki.make(layout.INSIDE_BIN / "tools", keys, nodes)
    inside = f"https://{layout.GATEWAY}:{layout.APISERVER_PORT}"
    for user in [*pki.CLIENTS, *(node.name for node in nodes)]:
        config = pki.kubeconfig(inside, keys, user, cluster.name)
        pki.write_private(control_plane.CONFIGS / user, config)
    files = {
        "audit-policy.json": control_plane.audit_policy(),
        "Corefile": control_plane.corefile(egress=way_out),
        # it needs the name of a Node that exists, or waits half a minute for one
        "kube-proxy.json": control_plane.kube_proxy_config(
            layout.Node(1).name, control_plane.CONFIGS / "kube-proxy"
        ),
        # of pods that ask not to use the cluster's DNS
        "resolv.conf": f"nameserver {layout.EGRESS_DNS}\n" if way_out else "",
    }
    for name, text in files.items():
        (state / name).write_text(text)


def main(name: str) -> int:
    """Run the supervisor of the named cluster inside namespaces that are ready."""
    os.umask(0o022)
    cluster = layout.cluster(name)
    chosen = settings.read(cluster)
    if chosen is None:
        raise DevClusterError(f"{cluster.settings} is missing")
    print(json.dumps({"nodes": chosen.nodes, "port": chosen.port}), flush=True)
    return Supervisor(cluster, chosen).run()
