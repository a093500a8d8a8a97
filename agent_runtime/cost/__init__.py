"""What answers cost: prices, the meter around each model, and the sums of what was charged.

Wraps providers and is put together by app; knows nothing of HTTP.
"""
