"""Turn off the progress bars, load reports and known warnings of transformers, datasets and peft."""

from __future__ import annotations

import os
import warnings


def silence_libraries() -> None:
    """Call before the first model is loaded. Errors are still printed."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from datasets.utils.logging import disable_progress_bar as disable_datasets_bar
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_datasets_bar()
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    warnings.filterwarnings("ignore", category=FutureWarning, module="(transformers|peft|accelerate)")
