"""Sweeps: the jobs of a Hydra multirun, each in a separate process."""
