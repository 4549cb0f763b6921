"""The study: what of an agent grows with the film, the turns, the questions, as curves that a page shows."""
