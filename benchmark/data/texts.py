"""Text datasets: single sentences or pairs. Texts are stripped of white space at both ends, nothing else.

A text that is empty then stays: the model sees its special tokens alone, and records count such samples. What is no
text at all (a missing value, a number) is refused with its row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.data.sources import hub as hub_client
from benchmark.data.sources.assets import fetch
from benchmark.data.splits import UNPINNED, check_classes, check_fingerprint, cut, expect, fingerprint
from benchmark.records.metrics import check_metric
from benchmark.types import Dataset, ExitbenchError, Metric, TextSample


def snippets(
    name: str,
    version: int,
    asset: str,
    class_names: Sequence[str],
    min_abs_mean: float,
    test: int,
    test_seed: int,
    calibration: int,
    seed: int = 0,
    fingerprint: str = UNPINNED,
) -> Dataset:
    """Sentences with a mean human sentiment in -4 … 4, made binary: label 1 where the mean is positive.

    min_abs_mean: sentences nearer to 0 are left out. test, test_seed: the test split, cut once and for all from
    what is left. calibration, seed: cut from the rest. A sample's index is its sentence id in the source.
    """
    number = isinstance(min_abs_mean, int | float)
    expect("min_abs_mean", number and 0 < min_abs_mean <= 4, "a number above 0, at most 4", min_abs_mean)
    rated = _read_snippets(fetch(asset) / "snippets.txt")
    kept = [TextSample(i, int(mean > 0), (text,)) for i, mean, text in rated if abs(mean) >= min_abs_mean]
    pool, tested = _cut(kept, test, test_seed, "test")
    return _dataset(name, version, class_names, pool, tested, calibration, seed, fingerprint)


def hub(
    name: str,
    version: int,
    path: str,
    columns: Sequence[str],
    class_names: Sequence[str],
    calibration: int,
    subset: str = "",
    label: str = "label",
    train: str = "train",
    test: str = "test",
    seed: int = 0,
    fingerprint: str = UNPINNED,
    revision: str = "main",
    metric: Metric = "accuracy",
) -> Dataset:
    """A dataset on the hub or in a local folder: one or two text `columns` and a `label` column.

    path: a hub id, or a folder of CSV, JSON lines or parquet files whose names begin with their split's
    (train.csv, test.csv). label: whole numbers from 0, or texts out of `class_names`, which then say the order.
    train, test: the names of its splits. calibration: how many samples `seed` cuts from train.
    metric: the task's own, see `metrics.score`. A sample's index is its row in its split.
    """
    expect("columns", not isinstance(columns, str) and len(columns) in (1, 2), "a list of 1 or 2 names", columns)
    if isinstance(metric, str):
        check_metric(metric)
    expect("metric", metric != "f1" or len(class_names) == 2, "accuracy or matthews for more than two classes", metric)
    splits = {
        key: _samples(path, subset, split, columns, label, class_names, revision)
        for key, split in (("train", train), ("test", test))
    }
    made = _dataset(name, version, class_names, splits["train"], splits["test"], calibration, seed, fingerprint)
    return replace(made, metric=metric)


def _dataset(
    name: str,
    version: int,
    class_names: Sequence[str],
    pool: list[TextSample],
    test: list[TextSample],
    calibration: int,
    seed: int,
    pinned: str,
) -> Dataset:
    check_classes(class_names)
    found = _fingerprint(pool, test)
    check_fingerprint(name, pinned, found)
    for split, samples in (("train", pool), ("test", test)):
        _check_labels(f"{name}, {split}", {sample.label for sample in samples}, len(class_names))
    train, calibrated = _cut(pool, calibration, seed, "calibration")
    return Dataset(name, version, "text", len(class_names), tuple(class_names), train, calibrated, test, found)


def _cut(samples: list[TextSample], size: int, seed: int, field: str) -> tuple[list[TextSample], list[TextSample]]:
    rest, taken = cut(["\t".join(sample.texts) for sample in samples], size, seed, field)
    return [samples[i] for i in rest], [samples[i] for i in taken]


def _fingerprint(pool: list[TextSample], test: list[TextSample]) -> str:
    """Over labels and texts of train (with what calibration will take) and test, in order."""

    def lines(samples: list[TextSample]) -> Iterator[bytes]:
        return ((json.dumps([s.label, *s.texts], ensure_ascii=False) + "\n").encode() for s in samples)

    return fingerprint({"train": lines(pool), "test": lines(test)})


def _check_labels(where: str, labels: set[int], num_classes: int) -> None:
    if not labels or min(labels) < 0 or max(labels) >= num_classes:
        hint = "; -1 marks labels that are kept secret: choose a split that has them" if -1 in labels else ""
        raise ExitbenchError(f"{where}: expected labels in 0 … {num_classes - 1}, got {sorted(labels)[:12]}{hint}")


def _read_snippets(path: Path) -> list[tuple[int, float, str]]:
    """(sentence id, mean sentiment, sentence) from tab-separated lines; text may hold any other separator."""
    rated = []
    for number, line in enumerate(path.read_bytes().decode("utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        fields = line.split("\t")
        expect(f"{path.name}, line {number}", len(fields) == 3, "id, mean and sentence, tab-separated", line[:80])
        rated.append((int(fields[0]), float(fields[1]), fields[2].strip()))
    return rated


def _samples(
    path: str, subset: str, split: str, columns: Sequence[str], label: str, class_names: Sequence[str], revision: str
) -> list[TextSample]:
    table = hub_client.table(path, subset, split, [*columns, label], revision)
    found, *texts = (table.column(name).to_pylist() for name in (label, *columns))
    for name, column in zip(columns, texts, strict=True):
        _check_texts(f"{path}, {split}", name, column)
    labels = _labels(found, label, columns, class_names)
    rows = enumerate(zip(*texts, strict=True))
    return [TextSample(row, labels[row], tuple(text.strip() for text in pair)) for row, pair in rows]


def _check_texts(where: str, name: str, column: Sequence[object]) -> None:
    """Raise ExitbenchError at the first row that holds no text."""
    row = next((row for row, value in enumerate(column) if not isinstance(value, str)), None)
    if row is not None:
        hint = "; a CSV file cannot tell an empty text, NA or null from none" if column[row] is None else ""
        raise ExitbenchError(f"{where}: expected a text in column {name} of row {row}, got {column[row]!r}{hint}")


def _labels(found: list[Any], label: str, columns: Sequence[str], class_names: Sequence[str]) -> list[int]:
    places = {name: place for place, name in enumerate(class_names)}
    labels: list[Any] = [places.get(value, value) if isinstance(value, str) else value for value in found]
    row = next((row for row, value in enumerate(labels) if not isinstance(value, int)), None)
    if row is not None:
        raise ExitbenchError(
            f"{label}: expected integer labels, got {found[row]!r}; columns: {', '.join(columns)}, {label}; "
            f"row {row}; texts must be among class_names"
        )
    return labels
