"""Trained networks: opened and checked, scored, and what others start from."""
