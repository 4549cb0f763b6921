"""Engines: the ways to reach a model, all behind protocol.Engine."""
