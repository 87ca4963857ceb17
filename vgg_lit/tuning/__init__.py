"""What `tune` does: a search, what it varies, its study and what is shown of it."""
