"""A cluster as a kubeconfig describes it: read AgentSystems, and reach their Services.

Failures are translated to `CannotProceed` with what to do about them. Calls have time limits.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import http
import json
import typing

import click
import urllib3
from kubernetes import client, config

GROUP, VERSION, PLURAL = "agentsystem.dev", "v1alpha1", "agentsystems"
CONNECT_S = 10.0
# Between two bytes of an answer: a slow model thinks before the first one.
READ_S = 120.0
Json = dict[str, typing.Any]
Command = collections.abc.Callable[..., None]


class CannotProceed(click.ClickException):
    """What happened and what the user can do; printed without a traceback."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A cluster and the namespace that commands work in."""

    api: client.ApiClient
    namespace: str

    def system(self, name: str) -> Json:
        """The AgentSystem of that name."""
        return self._get(f"/namespaces/{self.namespace}/{PLURAL}/{name}", what=name)

    def systems(self, *, everywhere: bool) -> list[Json]:
        """All AgentSystems of the namespace, or of the cluster."""
        where = "" if everywhere else f"/namespaces/{self.namespace}"
        items: list[Json] = self._get(f"{where}/{PLURAL}", what="")["items"]
        return items

    def open(self, service: str, path: str, body: Json, headers: dict[str, str]) -> Answer:
        """POST to a Service through the apiserver, which passes the answer on as it comes."""
        to = f"/api/v1/namespaces/{self.namespace}/services/{service}:http/proxy{path}"
        sent = {"Content-Type": "application/json", **headers}
        return Answer(self._call("POST", to, json.dumps(body).encode(), sent))

    def _get(self, path: str, *, what: str) -> Json:
        response = self._call("GET", f"/apis/{GROUP}/{VERSION}{path}")
        text = response.data.decode(errors="replace")
        if response.status == http.HTTPStatus.OK:
            found: Json = json.loads(text)
            return found
        raise CannotProceed(self._explain(response.status, text, what))

    def _explain(self, status: int, text: str, what: str) -> str:
        message = message_of(text)
        if status == http.HTTPStatus.NOT_FOUND and what and what in message:
            return (
                f"there is no AgentSystem {what!r} in namespace {self.namespace!r}; "
                "look in all of them with `agentsystem status -A`"
            )
        if status == http.HTTPStatus.NOT_FOUND:
            return "this cluster does not know AgentSystems: is the operator installed?"
        return f"the apiserver answered {status}: {message}"

    def _call(
        self, method: str, path: str, body: bytes | None = None, headers: Json | None = None
    ) -> urllib3.BaseHTTPResponse:
        settings = self.api.configuration
        request_headers = {**self.api.default_headers, **(headers or {})}
        query: list[tuple[str, str]] = []
        self.api.update_params_for_auth(request_headers, query, ["BearerToken"], path, method, body)
        try:
            return self.api.rest_client.pool_manager.request(
                method,
                settings.host + path,
                body=body,
                headers=request_headers,
                timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S),
                retries=False,
                preload_content=False,
            )
        except urllib3.exceptions.HTTPError as exc:
            raise CannotProceed(
                f"cannot reach the apiserver at {settings.host}: {exc}; is the cluster running, "
                "and is this the right --kubeconfig and --context?"
            ) from exc


@dataclasses.dataclass(frozen=True)
class Answer:
    """What an agent's Service answers: a status, then the body as it arrives."""

    response: urllib3.BaseHTTPResponse

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status

    def text(self) -> str:
        """The whole body."""
        return self.response.data.decode(errors="replace")

    def lines(self) -> collections.abc.Iterator[str]:
        """The body line by line, each as soon as it is complete."""
        rest = b""
        try:
            for part in self.response.stream(amt=None):
                *lines, rest = (rest + part).split(b"\n")
                yield from (line.decode(errors="replace").rstrip("\r") for line in lines)
        except urllib3.exceptions.HTTPError as exc:
            raise CannotProceed(f"the answer broke off: {exc}") from exc
        if rest:
            yield rest.decode(errors="replace")


def message_of(text: str) -> str:
    """The message inside an error body: a Kubernetes Status, OpenAI's error shape, or any text."""
    try:
        body = json.loads(text)
    except ValueError:
        return text.strip()[:500]
    if not isinstance(body, dict):
        return text.strip()[:500]
    error = body.get("error")
    found = error.get("message") if isinstance(error, dict) else body.get("message")
    return str(found or text.strip()[:500])


def connect(kubeconfig: str | None, context: str | None, namespace: str | None) -> Cluster:
    """The cluster that kubectl would use with the same flags; nothing is sent yet."""
    try:
        settings = client.Configuration()
        config.load_kube_config(  # type: ignore[no-untyped-call]  # the client is half typed
            kubeconfig, context, settings, persist_config=False
        )
        contexts, active = config.list_kube_config_contexts(  # type: ignore[no-untyped-call]
            kubeconfig
        )
    except (config.ConfigException, OSError) as exc:
        raise CannotProceed(f"no usable kubeconfig: {exc}; name one with --kubeconfig") from exc
    chosen = next((entry for entry in contexts if entry["name"] == context), active)
    settings.retries = False
    inside = namespace or chosen["context"].get("namespace") or "default"
    return Cluster(api=client.ApiClient(settings), namespace=inside)


def options(command: Command) -> Command:
    """Give a command the flags that say where, and hand it the `Cluster` as first argument."""

    @click.option("-n", "--namespace", help="Namespace (default: that of the context).")
    @click.option("--context", help="Context of the kubeconfig (default: the current one).")
    @click.option("--kubeconfig", help="Kubeconfig file (default: $KUBECONFIG, ~/.kube/config).")
    @functools.wraps(command)
    def with_cluster(
        *, kubeconfig: str | None, context: str | None, namespace: str | None, **rest: object
    ) -> None:
        command(connect(kubeconfig, context, namespace), **rest)

    return with_cluster
