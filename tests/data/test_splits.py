"""Cuts are deterministic and disjoint; fingerprints see every change."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.data.splits import UNPINNED, check_classes, check_fingerprint, cut, fingerprint
from benchmark.types import ExitbenchError

Cut = Callable[[Sequence[object], int, int, str], tuple[list[int], list[int]]]


def is_sound(cutter: Cut, keys: list[str], size: int, seed: int) -> bool:
    """Disjoint, complete, exact in size, repeatable; equal keys on one side, but for those at the very edge."""
    rest, taken = cutter(keys, size, seed, "calibration")
    complete = sorted(rest + taken) == list(range(len(keys))) and len(taken) == size
    both = {keys[i] for i in rest} & {keys[i] for i in taken}
    return complete and (rest, taken) == cutter(keys, size, seed, "calibration") and len(both) <= 1


@given(st.lists(st.text(max_size=3), min_size=1, max_size=60), st.integers(0, 59), st.integers())
def test_cut_is_sound(keys: list[str], size: int, seed: int) -> None:
    assert is_sound(cut, keys, size % len(keys), seed)


def test_unsound_cuts_are_caught() -> None:
    def overlapping(keys: Sequence[object], size: int, seed: int, field: str) -> tuple[list[int], list[int]]:
        return list(range(len(keys))), list(range(size))

    def unseeded(keys: Sequence[object], size: int, seed: int, field: str) -> tuple[list[int], list[int]]:
        order = random.sample(range(len(keys)), len(keys))
        return sorted(order[size:]), sorted(order[:size])

    def splitting_twins(keys: Sequence[object], size: int, seed: int, field: str) -> tuple[list[int], list[int]]:
        return cut([f"{key}{row}" for row, key in enumerate(keys)], size, seed, field)

    keys = [str(i // 2) for i in range(60)]
    assert is_sound(cut, keys, 20, 0)
    assert not any(is_sound(broken, keys, 20, 0) for broken in (overlapping, unseeded, splitting_twins))


def test_cut_never_changes_between_releases_and_follows_its_seed() -> None:
    assert cut(range(12), 4, 0, "test")[1] == [4, 7, 9, 10]
    assert cut(range(12), 4, 1, "test")[1] != cut(range(12), 4, 0, "test")[1]


@pytest.mark.parametrize("size", [-1, 3, 2.0, "1", True])
def test_cut_names_the_field(size: object) -> None:
    with pytest.raises(ExitbenchError, match=r"calibration: expected a whole number in 0 … 2, got"):
        cut("abc", size, 0, "calibration")  # pyright: ignore[reportArgumentType]


def test_fingerprint_sees_content_order_and_split() -> None:
    prints = [
        fingerprint({"train": [b"ab"], "test": [b"c"]}),
        fingerprint({"train": [b"ba"], "test": [b"c"]}),
        fingerprint({"train": [b"a"], "test": [b"bc"]}),
        fingerprint({"test": [b"c"], "train": [b"ab"]}),
    ]
    assert len(set(prints)) == 4
    assert prints[0] == fingerprint({"train": [b"a", b"b"], "test": [b"c"]}), "chunking is no content"


def test_pinned_fingerprint_must_match() -> None:
    check_fingerprint("x", "abc", "abc")
    check_fingerprint("x", UNPINNED, "abc")
    with pytest.raises(ExitbenchError, match="x: expected content with fingerprint abc, got abd"):
        check_fingerprint("x", "abc", "abd")


@pytest.mark.parametrize("names", [["one"], "ab", [True, False]])
def test_class_names_are_texts(names: list[str]) -> None:
    with pytest.raises(ExitbenchError, match="class_names: expected"):
        check_classes(names)
