"""What the server that forks combinations has imported, so that none of them imports it again.

Modules that libraries load lazily are named too, as they cost each combination seconds.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
from contextlib import suppress

MODULES = (
    "benchmark.run.pipeline",
    "benchmark.run.transfer",
    "benchmark.training.train",
    "benchmark.run.combination",
    "benchmark.utils.library_logging",
    "benchmark.models.multi_exit_bert",
    "benchmark.models.dvt",
    "benchmark.attacks.adversarial",
    "benchmark.attacks.words.search",
    "benchmark.attacks.pixels.search",
    "benchmark.data.texts",
    "benchmark.data.images",
    "transformers",
    "transformers.models.auto.modeling_auto",
    "transformers.models.bert.modeling_bert",
    "datasets",
    "peft",
    "hydra.utils",
)

# Of what is here then the collectors find nothing, neither on the way nor in all forks: walking it is a tenth of the
# imports and a quarter of a short combination.
gc.disable()
for name in MODULES:
    importlib.import_module(name)
# What is made at the first weights loaded, a fifth of a second; a library without it makes it elsewhere or not at all.
with suppress(ImportError, AttributeError):
    importlib.import_module("transformers.conversion_mapping").get_checkpoint_conversion_mapping("bert")
gc.freeze()
gc.enable()
if any("multiprocessing.forkserver" in word for word in sys.orig_argv):
    # The server has nothing to flush or to return, and libraries that count their objects at an interpreter's end would
    # call the frozen ones leaked, at length, on the user's terminal.
    atexit.register(os._exit, 0)
