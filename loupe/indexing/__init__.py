"""The index job's own: what is left to do of a library, its stages as functions, and what becomes of the rows."""
