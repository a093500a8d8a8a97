"""Judgements on a declared system and what is observed of it: pure, small, each with a reason."""
