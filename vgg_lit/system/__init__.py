"""Files, hardware, signals and environment of a process."""
