"""Launching, rendezvous, DDP and shutdown of ranks and jobs."""
