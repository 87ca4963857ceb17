"""The folders of runs, sweeps and studies below logs/."""

RUNS = ("runs/*/*", "sweeps/*/*/*", "tune/*/trials/*", "tune/*/*/trials/*")
"""Directories of runs."""

SETS_OF_RUNS = ("sweeps/*/*", "tune/*", "tune/*/*")
"""Directories of sweeps and studies."""
