"""Slowdown attacks on texts and images: objectives, searches under a budget, a cache, and the report for the record."""
