"""Structured logs and Prometheus metrics. Never sees message text, prompts or keys."""
