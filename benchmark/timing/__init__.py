"""The stopwatch and all it needs: rounds, verdicts, a process of its own, meters, and the audit of what it timed."""
