"""Benchmarks: each loads questions and scores answers. Knows schemas and timeline only."""
