"""Comparison of runs for the commands `compare` and `reproduce`."""
