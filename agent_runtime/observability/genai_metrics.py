"""The metrics of OpenTelemetry's GenAI conventions, under Prometheus' spelling of their names.

Labels are the conventions' attributes as far as they come from the config or are classes of ours,
and `provider`, the name in the config. Children are looked up once: a look-up costs microseconds.
"""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram

# the boundaries that the conventions ask for
_DURATIONS = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
_FIRST = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
_PER_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TOKENS = tuple(4**power for power in range(14))
_MODEL = (
    "gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "server_address",
    "server_port", "provider",
)  # fmt: skip
_AGENT = ("gen_ai_operation_name", "gen_ai_agent_name")


@dataclass(frozen=True, slots=True)
class Model:
    """One operation of one model of a provider, as the config has it; the labels in their order."""

    operation: str
    provider_name: str
    """As the conventions call it, such as openai."""
    model: str
    address: str
    port: str
    provider: str
    """Its name in the config."""

    def labels(self) -> tuple[str, ...]:
        """Return the values of the labels."""
        return (
            self.operation, self.provider_name, self.model, self.address, self.port, self.provider,
        )  # fmt: skip


class ModelSeries:
    """What is measured of one operation of one model."""

    def __init__(self, metrics: "GenAiMetrics", model: Model) -> None:
        labels = model.labels()
        self._metrics = metrics
        self._labels = labels
        self._ok = metrics.client_duration.labels(*labels, "")
        self._failed: dict[str, Histogram] = {}
        self._input = metrics.client_tokens.labels(*labels, "input")
        self._output = metrics.client_tokens.labels(*labels, "output")
        self._first = metrics.client_first_chunk.labels(*labels)

    def answered(self, seconds: float) -> None:
        """Count an operation that ended well."""
        self._ok.observe(seconds)

    def failed(self, seconds: float, kind: str) -> None:
        """Count one that did not; `kind` is of a closed set."""
        child = self._failed.get(kind)
        if child is None:
            child = self._metrics.client_duration.labels(*self._labels, kind)
            self._failed[kind] = child
        child.observe(seconds)

    def began(self, seconds: float) -> None:
        """Count how long a stream's first chunk took."""
        self._first.observe(seconds)

    def used(self, tokens_in: int | None, tokens_out: int | None) -> None:
        """Count tokens, as far as they are known."""
        if tokens_in is not None:
            self._input.observe(tokens_in)
        if tokens_out is not None:
            self._output.observe(tokens_out)


class AgentSeries:
    """What is measured of one operation of one agent, as a caller sees it."""

    def __init__(self, metrics: "GenAiMetrics", operation: str, agent: str) -> None:
        self._metrics = metrics
        self._labels = (operation, agent)
        self._by_kind: dict[str, Histogram] = {}
        self._first: Histogram | None = None
        self._per_token: Histogram | None = None

    def ended(self, seconds: float, kind: str) -> None:
        """Count a request; `kind` is empty or says what went wrong, of a closed set."""
        child = self._by_kind.get(kind)
        if child is None:
            child = self._metrics.server_duration.labels(*self._labels, kind)
            self._by_kind[kind] = child
        child.observe(seconds)

    def streamed(self, first_s: float, rest_s: float, tokens: int) -> None:
        """Count a whole stream: its first piece, and the time of each later token."""
        if self._first is None or self._per_token is None:
            self._first = self._metrics.server_first_token.labels(*self._labels)
            self._per_token = self._metrics.server_per_token.labels(*self._labels)
        self._first.observe(first_s)
        if tokens > 1:
            self._per_token.observe(rest_s / (tokens - 1))


class GenAiMetrics:
    """Part of `metrics.Metrics`, in its registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(
            name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]
        ) -> Histogram:
            return Histogram(name, text, labels, buckets=buckets, registry=registry)

        self.client_duration = histogram(
            "gen_ai_client_operation_duration_seconds", "Time of a call of a model.",
            (*_MODEL, "error_type"), _DURATIONS,
        )  # fmt: skip
        self.client_tokens = histogram(
            "gen_ai_client_token_usage", "Tokens of a call of a model, by gen_ai_token_type.",
            (*_MODEL, "gen_ai_token_type"), _TOKENS,
        )  # fmt: skip
        self.client_first_chunk = histogram(
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            "Time to the first chunk of a model's stream.", _MODEL, _FIRST,
        )  # fmt: skip
        self.server_duration = histogram(
            "gen_ai_server_request_duration_seconds", "Time of a request to an agent.",
            (*_AGENT, "error_type"), _DURATIONS,
        )  # fmt: skip
        self.server_first_token = histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "Time to the first piece of an agent's stream that ended well.", _AGENT, _FIRST,
        )  # fmt: skip
        self.server_per_token = histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "Time of each token after the first of an agent's stream.", _AGENT, _PER_TOKEN,
        )  # fmt: skip
        self._agents: dict[tuple[str, str], AgentSeries] = {}

    def model(self, model: Model) -> ModelSeries:
        """Return the series of one operation of one model."""
        return ModelSeries(self, model)

    def agent(self, operation: str, agent: str) -> AgentSeries:
        """Return the series of one operation of one agent."""
        series = self._agents.get((operation, agent))
        if series is None:
            series = self._agents[operation, agent] = AgentSeries(self, operation, agent)
        return series
