"""Lessons for the tiny model: what oracles, who know toytown, say in the agents' own prompts."""
