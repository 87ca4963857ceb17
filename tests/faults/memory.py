"""The peak memory of a part of a test."""

from pathlib import Path

GROWTH = 2**29
"""Limit in bytes on the memory for bad input, in addition to half a GiB of a process with torch."""


def forget_peak() -> None:
    """Resets the peak memory of the process, if the system supports it (Linux)."""
    if (switch := Path("/proc/self/clear_refs")).exists():
        switch.write_text("5", encoding="utf-8")


def peak() -> int:
    """Returns the peak memory of this process since the reset, in bytes; 0 if unknown."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.is_file() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
