"""Benchmarks: one module per subject; each prints a table and, when asked, JSON."""
