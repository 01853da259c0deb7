"""Whether a written leaderboard follows from the records: every cell computed again, every record held to itself."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmark.records.columns import CSV_COLUMNS
from benchmark.records.consistency import contradictions
from benchmark.records.csv_files import cells, to_csv
from benchmark.records.frame import frame
from benchmark.records.gather import gathered
from benchmark.records.record import Record, record_from_file
from benchmark.records.seal import Opened
from benchmark.types import ExitbenchError

Keep = Callable[[pd.DataFrame], pd.DataFrame]


def validate(path: Path, records: Sequence[Record]) -> list[str]:
    """What in a written leaderboard does not follow from the records: one line each, none if all is well.

    Every cell is computed again from the records, and each record's own figures from its histogram and, where it has
    them, its raw observations.
    """
    return [line for one in records for line in contradictions(one)] + differences(path, records)


def validate_folders(path: Path, folders: Iterable[Path], keep: Keep = lambda table: table) -> tuple[list[str], int]:
    """The same from files, raw observations looked at one record at a time; and how many records there were.

    keep: of the whole table the rows that the written one should have.

    A file that cannot be read is a difference too, as its figures cannot be checked.
    """
    checked, problems = gathered(folders, _checked, ())
    found = [line for one in checked for line in one.lines]
    records = [one.record for one in checked]
    return [*(f"left out: {line}" for line in problems), *found, *differences(path, records, keep)], len(records)


class _Checked(NamedTuple):
    """A record without its raw observations, and where they contradict it."""

    record: Record
    lines: list[str]

    @property
    def record_id(self) -> str:
        return self.record.record_id

    @property
    def created(self) -> str:
        return self.record.created


def _checked(file: Path, content: Opened) -> _Checked:
    one = record_from_file(file, content)
    try:
        lines = contradictions(one)
    except (LookupError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ExitbenchError(f"{file}: its figures cannot be computed again ({error!r})") from error
    plain = {name: value for name, value in one.latency.items() if not isinstance(value, list)}
    return _Checked(replace(one, latency=plain), lines)


def differences(path: Path, records: Sequence[Record], keep: Keep = lambda table: table) -> list[str]:
    """Rows and cells of a written leaderboard that are not what the records give."""
    found = cells(path)
    ids = found["record_id"]
    wanted = {line["record_id"]: line for line in csv.DictReader(io.StringIO(to_csv(keep(frame(records))), newline=""))}
    lines = [f"{name}: twice in the leaderboard" for name in sorted({one for one in ids if ids.count(one) > 1})]
    lines += [f"{name}: in the leaderboard, not among the records" for name in sorted({*ids} - wanted.keys())]
    lines += [f"{name}: among the records, not in the leaderboard" for name in sorted(wanted.keys() - {*ids})]
    for place, name in enumerate(ids):
        if name in wanted and ids.index(name) == place:
            pairs = ((column, found[column][place], wanted[name][column]) for column in CSV_COLUMNS)
            lines += [
                f"{name}: {column} is {here or 'empty'}, expected {there or 'empty'}"
                for column, here, there in pairs
                if here != there and not _same(here, there)
            ]
    return lines


def _same(left: str, right: str) -> bool:
    try:
        return math.isclose(float(left), float(right), rel_tol=1e-9)
    except ValueError:
        return False
