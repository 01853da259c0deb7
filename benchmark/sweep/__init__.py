"""Sweeps that survive: every point claimed, measured in a process of its own, and told of in one line."""
