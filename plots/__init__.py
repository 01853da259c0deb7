"""Figures: one script each, drawn from the leaderboard and records alone, in one style (`style.py`)."""
