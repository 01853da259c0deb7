"""Words, stop words, allowances, and what counts as a change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.attacks.words import edits


def test_words_leave_punctuation_where_it_is():
    texts = ("Don't go -- it's well-made, (really)!", "2nd_part")
    forms = [word.form for word in edits.words_of(texts)]
    assert forms == ["Don't", "go", "it's", "well", "made", "really", "2nd", "part"]


@pytest.mark.parametrize(("words", "limit"), [(4, 3), (30, 3), (31, 4), (70, 7), (100, 10)])
def test_max_changed_words(words: int, limit: int):
    assert edits.max_changed_words(words, 0.1, 3) == limit


@pytest.mark.parametrize("form", ["The", "don't", "isn’t", "she'll", "nothing", "r2d2", "movie's", "10"])
def test_never_replaced(form: str):
    assert not edits.replaceable(form)


@given(st.text(max_size=40), st.text(max_size=40), st.data())
def test_rendering_changes_the_chosen_words_and_nothing_else(first: str, second: str, data: st.DataObject):
    words = edits.words_of((first, second))
    chosen = data.draw(st.sets(st.integers(0, len(words) - 1))) if words else set()
    after = edits.apply_edits((first, second), words, dict.fromkeys(chosen, "zebra"))
    forms = ["zebra" if n in chosen else word.form for n, word in enumerate(words)]
    assert [word.form for word in edits.words_of(after)] == forms
    assert [edits.WORD.sub("", text) for text in after] == [edits.WORD.sub("", text) for text in (first, second)]


@pytest.mark.parametrize(("pattern", "cased"), [("Movie", "Film"), ("MOVIE", "FILM"), ("movie", "film"), ("A", "Film")])
def test_match_case(pattern: str, cased: str):
    assert edits.match_case("film", pattern) == cased
