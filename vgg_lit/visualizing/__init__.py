"""Figures and the HTML report of the commands `visualize` and `preview`."""
