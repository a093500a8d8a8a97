"""Build both container images on a bare machine, without a registry, and load them into clusters.

`python -m images` is what `make images` calls: a base root from Debian packages (mmdebstrap), the
Dockerfile on top of it (buildah), OCI archives in the user's cache, keyed by all that goes into
them. Standard library only; the demo and the tests may import it, the product never does.
"""
