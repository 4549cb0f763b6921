"""How good answers are, and what they cost: pure functions on plain values. Benchmarks, jobs and rewards share them."""
