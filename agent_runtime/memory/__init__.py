"""Where sessions live: one protocol (`base.SessionStore`), one contract suite, several stores.

Must never import agents, providers or app.
"""
