"""Who may ask what, and how much of it: authentication, roles, limits.

`principal` is a plain value that every part may import; the rest is used by `app`.
"""
