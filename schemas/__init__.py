"""The nouns: what flows between jobs, models and tables. Imports pydantic and pyarrow only."""
