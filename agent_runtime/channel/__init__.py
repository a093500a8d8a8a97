"""The channel to the operator: what this pod says of itself. The runtime serves on without it.

May import `observability` and what is below; knows nothing of requests, routes or providers, which
`app.reporting` turns into reports.
"""
