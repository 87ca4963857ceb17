"""Hydra's launcher `process`: runs each job of a sweep in a fresh process."""
