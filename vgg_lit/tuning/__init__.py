"""Hyperparameter search: search space, study, driver of trials, and reports."""
