"""Helpers of the benches: set-up, repeats, reports, and the parts of `peers`."""
