"""Moves data: caches, queue, workers, leadership. Decides nothing about agents."""
