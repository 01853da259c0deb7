"""Inputs under attack: texts and images, their edits and balls, many hunted together, and what was done to them."""
