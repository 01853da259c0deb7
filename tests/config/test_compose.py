"""Mistakes in overrides are one line that says what to write instead."""

import shlex

import pytest

from benchmark.config.compose import compose
from benchmark.types import ExitbenchError

QUOTABLE = ["a b=c/r", "it's", "a,b)", "[a", '"a', "a=b", "{x", "a:b,c(", "100% (new"]


@pytest.mark.parametrize("value", QUOTABLE)
def test_the_suggested_words_mean_what_was_meant(value):
    """What the line suggests, pasted into a shell, gives the value that could not be read."""
    with pytest.raises(ExitbenchError) as caught:
        compose("config", [f"records={value}"])
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"expected key=value, got {f'records={value}'!r}, which Hydra's grammar cannot read; ")
    (word,) = shlex.split(line.partition("put the value in quotes: ")[2])
    assert compose("config", [word]).records == value


@pytest.mark.parametrize("word", ["records", "a b=c", 'records=a\\"b='])
def test_where_quotes_do_not_help_the_line_says_what_does(word):
    with pytest.raises(ExitbenchError, match=r"expected key=value, got .*needs quotes inside the shell's") as caught:
        compose("config", [word])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ["model=3", "=3", "=3 4"])
def test_what_hydra_takes_for_no_choice_is_one_line(word):
    with pytest.raises(ExitbenchError) as caught:
        compose("config", [word])
    assert "\n" not in str(caught.value)
