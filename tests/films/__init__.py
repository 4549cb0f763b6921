"""Films that tests make for themselves."""
