"""Misspellings: each a single alphabetic word, one letter away."""

import random
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from benchmark.attacks.words import edits
from benchmark.attacks.words.misspellings import LOOK_ALIKES, misspellings


@cache
def common(one: str, other: str) -> int:
    """Length of the longest common subsequence; difflib's matcher is greedy and may find less."""
    if not one or not other:
        return 0
    if one[0] == other[0]:
        return 1 + common(one[1:], other[1:])
    return max(common(one[1:], other), common(one, other[1:]))


def test_common_is_not_greedy():
    assert common("XXXX", "XyXX") == 3
    assert common("bread", "berad") == 4


@given(st.text("abcdefXYZoé", min_size=1, max_size=9), st.integers(0, 99))
def test_every_misspelling_is_another_word_one_letter_away(form: str, seed: int):
    made = misspellings(form, random.Random(seed))
    assert form not in made
    assert len(set(made)) == len(made)
    for one in made:
        assert [word.form for word in edits.words_of((one,))] == [one]
        assert abs(len(one) - len(form)) <= 1
        assert common(form, one) >= len(form) - 1


def test_all_four_kinds_are_there():
    made = misspellings("bread", random.Random(0))
    assert {"rbead", "berad", "read", "brea"} <= set(made)
    assert [one for one in made if len(one) == 6]
    assert {"bre" + LOOK_ALIKES["a"] + "d", "br" + LOOK_ALIKES["e"] + "ad"} <= set(made)


def test_look_alikes_are_other_letters():
    assert all(letter.isascii() and not alike.isascii() and alike.isalpha() for letter, alike in LOOK_ALIKES.items())
