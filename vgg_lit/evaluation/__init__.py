"""Scores of trained networks, over one or several views of each image."""
