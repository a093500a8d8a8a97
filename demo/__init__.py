"""`make demo`: from a bare machine to a conversation with agents that the operator deployed.

It does what a person would do by hand, with the same programs and files, and says what it does.
"""
