"""What an agent is: instructions, a route of providers and, per session, a memory.

May import providers and memory; knows nothing of HTTP.
"""
