"""Sweeps that survive crashes: every combination locked, measured in its own process, and recorded or explained."""
