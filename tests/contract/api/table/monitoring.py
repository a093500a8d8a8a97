"""Where traces go."""

from tests.contract.api.case import bad, good

OTLP = "spec.monitoring.otlp"
ENDPOINT = f"{OTLP}.endpoint"
RATIO = f"{OTLP}.samplingRatio"
URL = "http://collector.observability.svc:4318"
ADDRESS = "must be http(s)://host[:port][/path] without user, query or fragment"

CASES = (
    good("empty monitoring", {"spec.monitoring": {}}),
    good("traces", {OTLP: {"endpoint": URL}}),
    good(
        "traces with all there is",
        {
            OTLP: {
                "endpoint": "https://api.smith.langchain.com/otel",
                "headersSecretRef": {"name": "langsmith", "key": "headers"},
                "samplingRatio": "0.05",
                "captureContent": True,
            }
        },
    ),
    good("no traces but those of callers", {OTLP: {"endpoint": URL, "samplingRatio": "0"}}),
    good("all traces", {OTLP: {"endpoint": URL, "samplingRatio": "1.0"}}),
    bad("traces to nowhere", {OTLP: {}}, ENDPOINT),
    bad("traces to no address", {OTLP: {"endpoint": "collector:4318"}}, ENDPOINT, says=ADDRESS),
    bad(
        "traces to an address with a password",
        {OTLP: {"endpoint": "https://me:secret@example.com"}},
        ENDPOINT,
        says=ADDRESS,
    ),
    bad(
        "traces to an address with a query",
        {OTLP: {"endpoint": "https://example.com/otlp?key=1"}},
        ENDPOINT,
        says=ADDRESS,
    ),
    bad(
        "traces to the path that is added",
        {OTLP: {"endpoint": f"{URL}/v1/traces"}},
        ENDPOINT,
        says="must not end in /v1/traces, which is added; remove that",
    ),
    bad(
        "traces to the path that is added, and a slash",
        {OTLP: {"endpoint": f"{URL}/v1/traces/"}},
        ENDPOINT,
        says="must not end in /v1/traces",
    ),
    bad(
        "traces to an endless address",
        {OTLP: {"endpoint": f"http://example.com/{'a' * 500}"}},
        ENDPOINT,
    ),
    bad("more traces than requests", {OTLP: {"endpoint": URL, "samplingRatio": "1.5"}}, RATIO),
    bad("a ratio that is a number", {OTLP: {"endpoint": URL, "samplingRatio": 0.5}}, RATIO),
    bad("a ratio with a sign", {OTLP: {"endpoint": URL, "samplingRatio": "-0.5"}}, RATIO),
    bad("a ratio with an exponent", {OTLP: {"endpoint": URL, "samplingRatio": "1e-3"}}, RATIO),
)
