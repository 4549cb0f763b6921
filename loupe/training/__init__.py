"""Training: pure functions on examples, and plain torch loops that need torch and transformers alone."""
