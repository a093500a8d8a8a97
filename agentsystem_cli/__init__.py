"""The command line for people who run or use agent systems, and the kubectl plugin of that name.

The only package that may import the official Kubernetes client. It reads AgentSystems and talks to
their agents; it never writes to a cluster. Of the operator it uses the pure core.
"""
