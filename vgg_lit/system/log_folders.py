"""The folders of runs, sweeps and studies below logs/, and those in a run directory."""

import re

RUNS = ("runs/*/*", "sweeps/*/*/*", "tune/*/trials/*", "tune/*/*/trials/*")
"""Directories of runs."""

SETS_OF_RUNS = ("sweeps/*/*", "tune/*", "tune/*/*")
"""Directories of sweeps and studies."""

ATTEMPT = re.compile(r"\.attempt\d+$")
"""The end of the name of a run directory with an attempt that was set aside."""

RESULTS = ("evaluations", "figures")
"""Folders in a run directory with the results of commands."""
