"""Who may ask what and how much of it, and which data passes: principals, limits, personal data.

The parts that every layer may import.
"""
