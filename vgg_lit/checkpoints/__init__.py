"""Checkpoint files: written whole, checked, read, and the networks in them."""
