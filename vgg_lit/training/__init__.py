"""What `train` does: the run it begins or goes on with, and the experiment from config to last table."""
