"""Answers that were given before, for the same question: exact, bounded, per tenant and revision.

Stands around an agent's route, inside of what hides people's data: what it keeps is what a model
was told and said, not what a client sees. Knows nothing of HTTP, of costs or of agents' sessions.
"""
