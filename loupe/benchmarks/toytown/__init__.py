"""Toytown: generated films whose every scene, person, sign, event and spoken line is known."""
