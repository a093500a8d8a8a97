"""Servers that replicas share: the one place that opens a connection to Redis or PostgreSQL.

Sessions, limits, the ledger and the cache use what is opened here. Must never import them.
"""
