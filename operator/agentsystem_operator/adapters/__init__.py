"""One module per library or protocol that the shell must not know: HTTP, Kubernetes, Prometheus."""
