"""What `compare` and `reproduce` say: in which settings runs differ, and how they ended."""
