"""How much memory a part of a test takes at its peak."""

from pathlib import Path

GROWTH = 2**29
"""Bytes that bad input may take on top of what the process has: with torch loaded that is half a GiB."""


def forget_peak() -> None:
    """Begins the process's peak of memory anew, where the system can (Linux)."""
    if (switch := Path("/proc/self/clear_refs")).exists():
        switch.write_text("5")


def peak() -> int:
    """The most memory this process has had since, bytes; 0 where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
