"""A cluster as a kubeconfig describes it: read AgentSystems, and reach their Services.

Failures are translated to `CannotProceed` with what to do about them. Calls have time limits.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import http
import json
import re
import typing

import click
import urllib3
import yaml
from kubernetes import client, config
from kubernetes.config import kube_config

GROUP, VERSION, PLURAL = "agentsystem.dev", "v1alpha1", "agentsystems"
CONNECT_S = 10.0
# Between two bytes of an answer: a slow model thinks before the first one.
READ_S = 120.0
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
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
        require_name(name)
        return self._get(f"/namespaces/{self.namespace}/{PLURAL}/{name}", what=name)

    def systems(self, *, everywhere: bool) -> list[Json]:
        """All AgentSystems of the namespace, or of the cluster."""
        where = "" if everywhere else f"/namespaces/{self.namespace}"
        items = self._get(f"{where}/{PLURAL}", what="").get("items")
        if not isinstance(items, list):
            raise self._no_apiserver()
        return items

    def open(self, service: str, path: str, body: Json, headers: dict[str, str]) -> Answer:
        """POST to a Service through the apiserver, which passes the answer on as it comes."""
        require_name(service)
        to = f"/api/v1/namespaces/{self.namespace}/services/{service}:http/proxy{path}"
        sent = {"Content-Type": "application/json", **headers}
        return Answer(self._call("POST", to, json.dumps(body).encode(), sent))

    def _get(self, path: str, *, what: str) -> Json:
        response = self._call("GET", f"/apis/{GROUP}/{VERSION}{path}")
        try:
            text = response.data.decode(errors="replace")
        except urllib3.exceptions.HTTPError as exc:
            raise self._unreachable(exc) from exc
        if response.status != http.HTTPStatus.OK:
            raise CannotProceed(self._explain(response.status, text, what))
        try:
            found = json.loads(text)
        except ValueError as exc:
            raise self._no_apiserver() from exc
        if not isinstance(found, dict) or not ("items" in found or "spec" in found):
            raise self._no_apiserver()
        return found

    def _no_apiserver(self) -> CannotProceed:
        return CannotProceed(
            f"{self.api.configuration.host} does not answer as an apiserver does; "
            "is this the right --kubeconfig and --context?"
        )

    def _unreachable(self, exc: Exception) -> CannotProceed:
        return CannotProceed(
            f"cannot reach the apiserver at {self.api.configuration.host}: {exc}; is the cluster "
            "running, and is this the right --kubeconfig and --context?"
        )

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
            raise self._unreachable(exc) from exc


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
        try:
            return self.response.data.decode(errors="replace")
        except urllib3.exceptions.HTTPError as exc:
            raise CannotProceed(f"the answer broke off: {exc}") from exc

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
    settings = client.Configuration()
    try:
        chosen = load(kubeconfig or kube_config.KUBE_CONFIG_DEFAULT_LOCATION, context, settings)
        inside = namespace or chosen["context"].get("namespace") or "default"
    except (config.ConfigException, OSError) as exc:
        raise CannotProceed(f"no usable kubeconfig: {exc}; name one with --kubeconfig") from exc
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError) as exc:
        # the client stumbles over a file of another shape; its text may quote a credential
        raise CannotProceed(
            "no usable kubeconfig: the file is none; name another with --kubeconfig"
        ) from exc
    settings.retries = False
    require_name(inside)
    return Cluster(api=client.ApiClient(settings), namespace=inside)


def load(paths: str, context: str | None, settings: client.Configuration) -> Json:
    """Put the context of that name, or the current one, into the settings, and return it."""
    merged = kube_config.KubeConfigMerger(paths)  # type: ignore[no-untyped-call]  # half typed
    loader = kube_config.KubeConfigLoader(  # type: ignore[no-untyped-call]
        merged.config, active_context=context, config_base_path=None
    )
    loader.load_and_set(settings)  # type: ignore[no-untyped-call]
    chosen: Json = loader.current_context
    return chosen


def require_name(text: str) -> None:
    """Raise CannotProceed for what can be the name of nothing, and would become part of a URL."""
    if not NAME.fullmatch(text):
        raise CannotProceed(f"{text!r} is no name; use lower-case letters, digits and dashes")


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
