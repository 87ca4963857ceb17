"""Metrics, costs, features and figures of a model or a run; does not import training code."""
