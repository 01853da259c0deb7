"""exitbench: what early exit really saves, on which inputs, on which machine, and what an attack leaves of it.

Kept empty on purpose: importing a part imports that part only, so a plot starts without torch.
"""

__version__ = "0.5.0"
