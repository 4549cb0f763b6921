"""Agents that choose what to look at: one loop (loop.py), policies as values, tools as functions."""
