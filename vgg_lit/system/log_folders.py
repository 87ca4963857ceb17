"""The folders of runs, sweeps and studies below logs/, and those in a run directory."""

RUNS = ("runs/*/*", "sweeps/*/*/*", "tune/*/trials/*", "tune/*/*/trials/*")
"""Directories of runs."""

SETS_OF_RUNS = ("sweeps/*/*", "tune/*", "tune/*/*")
"""Directories of sweeps and studies."""

RESULTS = ("evaluations", "figures")
"""Folders in a run directory with the results of commands."""
