"""A model that crashes its process."""

import faulthandler
import os
import signal


def crash() -> None:
    """Crash as a broken native kernel does."""
    faulthandler.disable()
    os.kill(os.getpid(), signal.SIGSEGV)
