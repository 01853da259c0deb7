"""Cutting splits and fingerprinting their content, the same on every machine and library version."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from benchmark.types import ExitbenchError

UNPINNED = "unpinned"  # the fingerprint of a dataset whose content nobody has recorded yet


def expect(field: str, holds: bool, expected: str, got: object) -> None:
    """Raise "field: expected …, got …" unless it holds."""
    if not holds:
        raise ExitbenchError(f"{field}: expected {expected}, got {got!r}")


def cut(keys: Sequence[object], size: int, seed: int) -> tuple[list[int], list[int]]:
    """Positions (rest, taken), each ascending; `taken` has `size` positions, chosen by hashing seed and key.

    A hash instead of a generator: the cut depends on no library's random numbers, a key's rank not on the others,
    and equal keys rank side by side, so that a repeated sentence stays on one side of the cut.
    """
    expect("size of the cut", 0 <= size < len(keys), f"0 … {len(keys) - 1}", size)
    rank = [hashlib.sha256(f"{seed}:{key}".encode()).digest() for key in keys]
    order = sorted(range(len(keys)), key=lambda position: (rank[position], position))
    return sorted(order[size:]), sorted(order[:size])


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
            f"{dataset}: expected content with fingerprint {expected}, got {got}; its source changed or the cache is "
            "damaged: remove the dataset from the cache folder, or pin the new fingerprint under a new version"
        )
