"""What `export` writes: programs that run without this package, whether they compute the same, and a card."""
