"""Dataset splits and fingerprints, identical on every machine and library version."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from benchmark.types import ExitbenchError
from benchmark.utils.cache import cache_dir

UNPINNED = "unpinned"  # as a fingerprint: any content is accepted


def expect(field: str, holds: bool, expected: str, got: object) -> None:
    """Raise ExitbenchError "field: expected …, got …" unless `holds`."""
    if not holds:
        raise ExitbenchError(f"{field}: expected {expected}, got {got!r}")


def cut(keys: Sequence[object], size: int, seed: int, field: str) -> tuple[list[int], list[int]]:
    """A seeded random split of positions 0 … len(keys) - 1 into (rest, taken), each ascending; `taken` has `size`.

    Positions are ranked by a hash of seed and key, not by a random generator. So the split is the same with every
    library version, a key's rank is independent of the other keys, and equal keys get adjacent ranks: a repeated
    sentence stays on one side of the split (unless its ranks lie across the boundary).

    field: the user's name for `size`, for the error message.

    Raises:
        ExitbenchError: `size` is no whole number in 0 … len(keys) - 1, or `seed` is no whole number.
    """
    whole = isinstance(size, int) and not isinstance(size, bool)
    expect(field, whole and 0 <= size < len(keys), f"a whole number in 0 … {len(keys) - 1}", size)
    expect("seed", isinstance(seed, int), "a whole number", seed)
    rank = [hashlib.sha256(f"{seed}:{key}".encode()).digest() for key in keys]
    order = sorted(range(len(keys)), key=lambda position: (rank[position], position))
    return sorted(order[size:]), sorted(order[:size])


def check_classes(names: Sequence[str]) -> None:
    """Raise ExitbenchError unless there are at least two class names, all strings (YAML reads `no` as false)."""
    expect("class_names", not isinstance(names, str) and len(names) >= 2, "two names or more", names)
    for name in names:
        expect("class_names", isinstance(name, str), "text (quote it)", name)


def fingerprint(splits: Mapping[str, Iterable[bytes | memoryview]]) -> str:
    """Hex sha256 over the decoded content of the splits, in the order given."""
    digest = hashlib.sha256()
    for name, chunks in splits.items():
        digest.update(f"[{name}]\n".encode())
        for chunk in chunks:
            digest.update(chunk)
    return digest.hexdigest()


def check_fingerprint(dataset: str, expected: str, got: str) -> None:
    """Raise ExitbenchError if `expected` is pinned and differs from the content's fingerprint `got`."""
    if expected not in (UNPINNED, got):
        raise ExitbenchError(
            f"{dataset}: expected content with fingerprint {expected}, got {got}; the source serves other content: "
            f"remove the dataset's folders below {cache_dir()} and try another source, or pin the new fingerprint "
            "under a new version"
        )
