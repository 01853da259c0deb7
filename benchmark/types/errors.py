"""The errors a user can cause: one base class, one line each."""

from __future__ import annotations


class ExitbenchError(Exception):
    """An error a user can cause and mend: one line saying what was expected, what came, what to do."""


class NotApplicable(ExitbenchError):
    """Choices that do not go together on any machine, such as a rule that needs what a model does not give.

    Asked for by itself such a combination is refused; a sweep says so and passes over it.
    """


class Unwritable(ExitbenchError):
    """A disk that is full or a folder that cannot be written: no fact about a combination, so a sweep stops at it."""
