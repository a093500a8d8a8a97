"""A real, disposable Kubernetes cluster on one Linux machine.

Everything is built from Go modules or installed from Debian packages; neither a container
engine nor a registry is needed. This package uses the standard library only, because it runs
before any virtual environment exists, and nothing outside of it may import it but tests.
"""
