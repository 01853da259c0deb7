"""Libraries' load reports and bars kept off the terminal, so that what we print is what a person reads."""

from __future__ import annotations

import os
import warnings


def silence_libraries() -> None:
    """Call before the first model is loaded; errors still show."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from datasets.utils.logging import disable_progress_bar as datasets_quiet
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets_quiet()
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    warnings.filterwarnings("ignore", category=FutureWarning, module="(transformers|peft|accelerate)")
