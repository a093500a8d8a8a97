"""Models behind one small protocol (`base.Provider`): scripted, OpenAI-compatible, and wrappers.

May import observability only; must never import agents, memory or app.
"""
