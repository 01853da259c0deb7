"""Cutting splits and fingerprinting their content, the same on every machine and library version."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from benchmark.types import ExitbenchError
from benchmark.utils.cache import cache_dir

UNPINNED = "unpinned"  # the fingerprint of a dataset whose content nobody has recorded yet


def expect(field: str, holds: bool, expected: str, got: object) -> None:
    """Raise "field: expected …, got …" unless it holds."""
    if not holds:
        raise ExitbenchError(f"{field}: expected {expected}, got {got!r}")


def cut(keys: Sequence[object], size: int, seed: int, field: str) -> tuple[list[int], list[int]]:
    """Positions (rest, taken), each ascending; `taken` has `size` positions, chosen by hashing seed and key.

    field: what the user calls `size`, for the error where it is no whole number below len(keys).

    A hash instead of a generator: the cut depends on no library's random numbers, a key's rank not on the others,
    and equal keys rank side by side, so that a repeated sentence stays on one side of the cut.
    """
    whole = isinstance(size, int) and not isinstance(size, bool)
    expect(field, whole and 0 <= size < len(keys), f"a whole number in 0 … {len(keys) - 1}", size)
    expect("seed", isinstance(seed, int), "a whole number", seed)
    rank = [hashlib.sha256(f"{seed}:{key}".encode()).digest() for key in keys]
    order = sorted(range(len(keys)), key=lambda position: (rank[position], position))
    return sorted(order[size:]), sorted(order[:size])


def check_classes(names: Sequence[str]) -> None:
    """Raise ExitbenchError unless there are two class names or more, all of them text (YAML reads `no` as false)."""
    expect("class_names", not isinstance(names, str) and len(names) >= 2, "two names or more", names)
    for name in names:
        expect("class_names", isinstance(name, str), "text (quote it)", name)


def fingerprint(splits: Mapping[str, Iterable[bytes]]) -> str:
    """Hex sha256 over the named splits' decoded content, in the order given."""
    digest = hashlib.sha256()
    for name, chunks in splits.items():
        digest.update(f"[{name}]\n".encode())
        for chunk in chunks:
            digest.update(chunk)
    return digest.hexdigest()


def check_fingerprint(dataset: str, expected: str, got: str) -> None:
    """Raise ExitbenchError where a pinned fingerprint differs from the content's."""
    if expected not in (UNPINNED, got):
        raise ExitbenchError(
            f"{dataset}: expected content with fingerprint {expected}, got {got}; the source serves something else: "
            f"remove the dataset's folders below {cache_dir()} and try another source, or pin the new fingerprint "
            "under a new version"
        )
