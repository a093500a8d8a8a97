"""The runtime that every agent pod runs, and that also runs alone on a laptop.

It never imports the operator or a Kubernetes client: the rendered config file is all they share.
Layers, lowest first: observability, providers and memory; agents; app; __main__.
"""
