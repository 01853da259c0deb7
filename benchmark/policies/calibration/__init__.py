"""Choosing thresholds on calibration data: operating points, budgets, guarantees."""
