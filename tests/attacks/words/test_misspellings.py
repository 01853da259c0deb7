"""Misspellings: each is a single alphabetic word that differs by one letter."""

import random
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from benchmark.attacks.words import edits
from benchmark.attacks.words.misspellings import LOOK_ALIKES, misspellings


@cache
def common(left: str, right: str) -> int:
    """Length of the longest common subsequence; difflib's matcher is greedy and may find less."""
    if not left or not right:
        return 0
    if left[0] == right[0]:
        return 1 + common(left[1:], right[1:])
    return max(common(left[1:], right), common(left, right[1:]))


def test_common_is_not_greedy():
    assert common("XXXX", "XyXX") == 3
    assert common("bread", "berad") == 4


@given(st.text("abcdefXYZoé", min_size=1, max_size=9), st.integers(0, 99))
def test_every_misspelling_is_another_word_one_letter_away(form: str, seed: int):
    result = misspellings(form, random.Random(seed))
    assert form not in result
    assert len(set(result)) == len(result)
    for variant in result:
        assert [word.form for word in edits.words_of((variant,))] == [variant]
        assert abs(len(variant) - len(form)) <= 1
        assert common(form, variant) >= len(form) - 1


def test_all_four_kinds_are_there():
    result = misspellings("bread", random.Random(0))
    assert {"rbead", "berad", "read", "brea"} <= set(result)
    assert [variant for variant in result if len(variant) == 6]
    assert {"bre" + LOOK_ALIKES["a"] + "d", "br" + LOOK_ALIKES["e"] + "ad"} <= set(result)


def test_look_alikes_are_other_letters():
    assert all(letter.isascii() and not alike.isascii() and alike.isalpha() for letter, alike in LOOK_ALIKES.items())
