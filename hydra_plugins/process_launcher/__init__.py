"""Hydra's launcher `process`: the jobs of a sweep, each in a fresh process of its own."""
