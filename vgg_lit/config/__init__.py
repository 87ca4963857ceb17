"""Config: schema, checks, command line."""
