"""The intended children as manifests, and what must be written to get there: pure."""
