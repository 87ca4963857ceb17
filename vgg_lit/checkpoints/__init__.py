"""Writing, checking and reading of checkpoint files, and the networks in them."""
