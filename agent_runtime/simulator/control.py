"""The control endpoint: orders in, counts out. Wrong orders change nothing and name the field."""

import logging
from collections.abc import Callable

import orjson

from agent_runtime.problems import Invalid
from agent_runtime.providers.base import Json
from agent_runtime.simulator import delivery
from agent_runtime.simulator.delivery import Delivery
from agent_runtime.simulator.exchange import Request
from agent_runtime.simulator.faults import Control, parse_control
from agent_runtime.simulator.simulation import Simulation

MAX_CONTROL_BYTES = 1 << 20

_log = logging.getLogger(__name__)


class ControlEndpoint:
    """Answers `/control` and `/control/counts` for one simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._routes: dict[tuple[str, str], Callable[[Request], Delivery]] = {
            ("GET", "/health"): lambda _: _answer(200, {"status": "ok"}),
            ("GET", "/control"): lambda _: self._orders(),
            ("PUT", "/control"): self._obey,
            ("DELETE", "/control"): lambda _: self._order(Control.model_validate({})),
            ("GET", "/control/counts"): lambda _: _answer(200, simulation.counts.as_json()),
            ("DELETE", "/control/counts"): lambda _: self._reset_counts(),
        }

    def handle(self, request: Request) -> Delivery:
        """Return the answer to one request."""
        if route := self._routes.get((request.method, request.path)):
            return route(request)
        if any(path == request.path for _, path in self._routes):
            return _error(405, f"{request.method} is not answered at {request.path}")
        paths = "/control, /control/counts, /health"
        return _error(404, f"there is nothing at this path; use one of: {paths}")

    def _obey(self, request: Request) -> Delivery:
        if len(request.body) > MAX_CONTROL_BYTES:
            return _error(413, "the control document is larger than 1 MiB; shorten it")
        try:
            control = parse_control(request.body)
        except Invalid as exc:
            problems = [{"field": p.path, "what": p.what, "fix": p.fix} for p in exc.problems]
            return _error(400, str(exc), problems=problems)
        return self._order(control)

    def _order(self, control: Control) -> Delivery:
        self._simulation.order(control)
        _log.info("control changed", extra={"rules": len(control.rules)})
        return self._orders()

    def _orders(self) -> Delivery:
        simulation = self._simulation
        document = simulation.control.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return _answer(200, {"control": document, "rules": simulation.rules_state()})

    def _reset_counts(self) -> Delivery:
        self._simulation.reset_counts()
        return _answer(200, self._simulation.counts.as_json())


def _answer(status: int, document: Json) -> Delivery:
    return delivery.whole(status, orjson.dumps(document))


def _error(status: int, message: str, **more: object) -> Delivery:
    return _answer(status, {"error": {"message": message, **more}})
