"""`make audit`: what scanners say about our manifests, our dependencies and our images.

The tools live in an environment of their own (`environment.py`). Each part returns problems in
words; an exception to a scanner's rule is listed once, with its reason, in `exceptions.yaml`. What
could not be looked up is said and is never taken for clean. The product imports nothing of this.
"""
