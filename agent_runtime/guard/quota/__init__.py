"""How many requests callers, tenants and agents may make: a sliding minute, and a day of UTC.

Counting only: who is counted, and what a client is told, is the business of `app.quota`. Invariant:
a counter admits never more than its limit in any 60 s, and in any day.
"""
