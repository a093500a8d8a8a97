"""Agents whose models, sessions and caches see placeholders instead of data about people.

What is found, and what stands in its place, is decided in `guard.pii`.
"""
