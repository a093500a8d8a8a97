"""Traces: where a request belongs (W3C trace context), its spans, and their export over OTLP/HTTP.

Written by hand because of the hot path and the pod's memory (docs/adr/0014). Without an endpoint
for traces nothing is recorded; ids that callers bring are passed on all the same. Never sees
message text, except what the agent hands over where content is asked for, after redaction.
"""
