"""Answering many questions: which are left, what becomes of each, where answers and traces are kept. No Ray here."""
