"""The Ray Serve files: every model of a config behind one OpenAI-compatible address."""
