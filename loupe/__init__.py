"""The verbs: media, models, search and agents. Nothing here imports Ray."""
