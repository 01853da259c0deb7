"""Thresholds: decided on calibration data, spent against a budget of MACs, replayed over their whole range."""
