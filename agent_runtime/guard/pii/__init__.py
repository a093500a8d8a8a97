"""Finds data about people in texts and puts placeholders in its place, and back.

Pure but for `key` and `stage`: nothing here logs a text, and no hit leaves the process but as a
kind and a count. `docs/privacy.md` tells users what is found and what is not.
"""
