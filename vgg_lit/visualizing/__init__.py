"""What `visualize` and `preview` show: a run opened to be looked into, its pictures, and their page."""
