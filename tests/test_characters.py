"""Misspellings: each a single alphabetic word, one letter away."""

import random
from difflib import SequenceMatcher

from hypothesis import given
from hypothesis import strategies as st

from benchmark import edits
from benchmark.characters import LOOK_ALIKES, misspellings


@given(st.text("abcdefXYZoé", min_size=1, max_size=9), st.integers(0, 99))
def test_every_misspelling_is_another_word_one_letter_away(form: str, seed: int):
    made = misspellings(form, random.Random(seed))
    assert form not in made
    assert len(set(made)) == len(made)
    for one in made:
        assert [word.form for word in edits.words_of((one,))] == [one]
        assert abs(len(one) - len(form)) <= 1
        same = sum(block.size for block in SequenceMatcher(None, form, one, autojunk=False).get_matching_blocks())
        assert same >= len(form) - 1


def test_all_four_kinds_are_there():
    made = misspellings("bread", random.Random(0))
    assert {"rbead", "berad", "read", "brea"} <= set(made)
    assert [one for one in made if len(one) == 6]
    assert {"bre" + LOOK_ALIKES["a"] + "d", "br" + LOOK_ALIKES["e"] + "ad"} <= set(made)


def test_look_alikes_are_other_letters():
    assert all(letter.isascii() and not alike.isascii() and alike.isalpha() for letter, alike in LOOK_ALIKES.items())
