"""Answers that are kept: each bound and rule of `spec.cache` kept and broken."""

from tests.contract.api.case import bad, good

CACHE = "spec.cache"
TTL = f"{CACHE}.ttl"
ENTRIES = f"{CACHE}.maxEntries"

PROVIDER = {"name": "claude", "type": "Anthropic"}

CASES = (
    *(
        good(
            f"prompts marked: {stated}",
            {"spec.providers[1]": {**PROVIDER, "anthropic": {"promptCaching": stated}}},
        )
        for stated in (True, False)
    ),
    bad(
        "prompts marked at times",
        {"spec.providers[1]": {**PROVIDER, "anthropic": {"promptCaching": "no"}}},
        "spec.providers[1].anthropic.promptCaching",
    ),
    good("a cache with all defaults", {CACHE: {}}),
    *(good(f"answers kept for {ttl}", {TTL: ttl}) for ttl in ("1s", "1m30s", "168h")),
    *(
        bad(f"answers kept for {ttl}", {TTL: ttl}, TTL, says="must be between 1s and 168h")
        for ttl in ("0s", "999ms", "168h1ms", "999999h")
    ),
    bad("answers kept for no duration", {TTL: "soon"}, TTL),
    bad("answers kept for a bare number", {TTL: 600}, TTL),
    *(good(f"{count} answers kept", {ENTRIES: count}) for count in (1, 100_000)),
    *(bad(f"{count} answers kept", {ENTRIES: count}, ENTRIES) for count in (0, 100_001, "9", 1.5)),
)
