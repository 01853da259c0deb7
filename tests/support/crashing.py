"""A model that takes its process along."""

import faulthandler
import os
import signal


def crash() -> None:
    """As a broken kernel would."""
    faulthandler.disable()
    os.kill(os.getpid(), signal.SIGSEGV)
