"""Marks of tests that need calls of POSIX, or files that their user cannot read."""

import os
import sys

import pytest

posix = pytest.mark.skipif(
    sys.platform == "win32", reason="needs signals, forks, modes or a shell of POSIX"
)

unreadable = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="needs a file without permission to read; root and Windows read it",
)
