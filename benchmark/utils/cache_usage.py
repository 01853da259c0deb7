"""What was taken from a cache and what had to be made, told as it happens and added up over a sweep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_told: list[Piece] = []


@dataclass(frozen=True)
class Piece:
    """One trace or attack of `samples` inputs; reused: it was there before."""

    kind: str  # "trace" or "attack"
    name: str
    samples: int
    reused: bool


def tell(kind: str, name: str, samples: int, reused: bool) -> None:
    """Note a piece of work of this process."""
    _told.append(Piece(kind, name, samples, reused))


def told() -> list[Piece]:
    """What was told since the last call; one that was asked for twice counts once, as it was first."""
    first: dict[tuple[str, str], Piece] = {}
    for piece in _told:
        first.setdefault((piece.kind, piece.name), piece)
    _told.clear()
    return list(first.values())


def line(pieces: Iterable[Piece]) -> str:
    """One combination's pieces: `reused: trace calibration of 30 samples; made: attack same of 12 samples`."""
    pieces = list(pieces)
    return _halves(
        [f"{piece.name} of {piece.samples:,} samples" for piece in pieces if piece.reused == reused]
        for reused in (True, False)
    )


def totals(pieces: Iterable[Piece]) -> str:
    """A sweep's pieces: `reused: 14 traces of 2,800 samples, 7 attacks of 700 samples; made: …`."""
    pieces = list(pieces)
    return _halves(
        [_sum([one for one in pieces if one.kind == kind and one.reused == reused]) for kind in ("trace", "attack")]
        for reused in (True, False)
    )


def _sum(pieces: list[Piece]) -> str:
    if not pieces:
        return ""
    kind = pieces[0].kind if len(pieces) == 1 else f"{pieces[0].kind}s"
    return f"{len(pieces)} {kind} of {sum(piece.samples for piece in pieces):,} samples"


def _halves(halves: Iterable[list[str]]) -> str:
    said = ((word, ", ".join(filter(None, items))) for word, items in zip(("reused", "made"), halves, strict=True))
    return "; ".join(f"{word}: {items}" for word, items in said if items)
