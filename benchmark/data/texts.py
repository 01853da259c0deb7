"""Text datasets: single sentences or sentence pairs, from hub datasets and local CSV, JSON lines or parquet files.

White space is stripped from both ends of each text; nothing else is changed. Empty texts are kept: the model then sees
its special tokens alone, and records count such samples. A value that is no text (missing, or a number) is an error
that names its row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

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
    """Movie-review sentences with a mean human sentiment in -4 … 4; label 1 if the mean is positive, else 0.

    min_abs_mean: sentences with a mean closer to 0 are left out. test, test_seed: size and seed of the test split,
    which is fixed for a version. calibration, seed: size and seed of the calibration split, taken from what remains.
    A sample's index is its sentence id in the source.
    """
    number = isinstance(min_abs_mean, int | float)
    expect("min_abs_mean", number and 0 < min_abs_mean <= 4, "a number above 0, at most 4", min_abs_mean)
    rated = _read_snippets(fetch(asset) / "snippets.txt")
    clear = [TextSample(i, int(mean > 0), (text,)) for i, mean, text in rated if abs(mean) >= min_abs_mean]
    pool, testing = _cut(clear, test, test_seed, "test")
    return _dataset(name, version, class_names, pool, testing, calibration, seed, fingerprint)


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
    """A dataset on the hub or in a local folder, with one or two text `columns` and a `label` column.

    Args:
        path: a hub id, or a folder of CSV, JSON lines or parquet files named after their splits (train.csv, test.csv).
        label: a column of whole numbers from 0, or of class names, which are then numbered as in `class_names`.
        train, test: the names of the splits.
        calibration: how many samples are split off train, selected by `seed`.
        metric: the task's metric, see `metrics.score`.

    A sample's index is its row in its split.
    """
    expect("columns", not isinstance(columns, str) and len(columns) in (1, 2), "a list of 1 or 2 names", columns)
    if isinstance(metric, str):
        check_metric(metric)
    expect("metric", metric != "f1" or len(class_names) == 2, "accuracy or matthews for more than two classes", metric)
    splits = {
        key: _samples(path, subset, split, columns, label, class_names, revision)
        for key, split in (("train", train), ("test", test))
    }
    dataset = _dataset(name, version, class_names, splits["train"], splits["test"], calibration, seed, fingerprint)
    return replace(dataset, metric=metric)


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
    content = _fingerprint(pool, test)
    check_fingerprint(name, pinned, content)
    for split, samples in (("train", pool), ("test", test)):
        _check_labels(f"{name}, {split}", {sample.label for sample in samples}, len(class_names))
    train, calibrating = _cut(pool, calibration, seed, "calibration")
    return Dataset(name, version, "text", len(class_names), tuple(class_names), train, calibrating, test, content)


def _cut(samples: list[TextSample], size: int, seed: int, field: str) -> tuple[list[TextSample], list[TextSample]]:
    rest, taken = cut(["\t".join(sample.texts) for sample in samples], size, seed, field)
    return [samples[i] for i in rest], [samples[i] for i in taken]


def _fingerprint(pool: list[TextSample], test: list[TextSample]) -> str:
    """Over labels and texts of train (calibration still included) and test, in order."""

    def lines(samples: list[TextSample]) -> Iterator[bytes]:
        return ((json.dumps([s.label, *s.texts], ensure_ascii=False) + "\n").encode() for s in samples)

    return fingerprint({"train": lines(pool), "test": lines(test)})


def _check_labels(where: str, labels: set[int], num_classes: int) -> None:
    if not labels or min(labels) < 0 or max(labels) >= num_classes:
        hint = "; -1 marks hidden labels: choose a split that has labels" if -1 in labels else ""
        raise ExitbenchError(f"{where}: expected labels in 0 … {num_classes - 1}, got {sorted(labels)[:12]}{hint}")


def _read_snippets(path: Path) -> list[tuple[int, float, str]]:
    """(sentence id, mean sentiment, sentence) from tab-separated lines; only \\n ends a line."""
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
    raw_labels, *texts = (table.column(name).to_pylist() for name in (label, *columns))
    for name, column in zip(columns, texts, strict=True):
        _check_texts(f"{path}, {split}", name, column)
    labels = _labels(raw_labels, label, columns, class_names)
    rows = enumerate(zip(*texts, strict=True))
    return [TextSample(row, labels[row], tuple(text.strip() for text in pair)) for row, pair in rows]


def _check_texts(where: str, name: str, column: Sequence[object]) -> None:
    """Raise ExitbenchError that names the first row without a text."""
    row = next((row for row, value in enumerate(column) if not isinstance(value, str)), None)
    if row is not None:
        hint = "; a CSV file reads an empty text, NA and null alike as missing" if column[row] is None else ""
        raise ExitbenchError(f"{where}: expected a text in column {name} of row {row}, got {column[row]!r}{hint}")


def _labels(values: list[object], label: str, columns: Sequence[str], class_names: Sequence[str]) -> list[int]:
    """Class numbers from a label column of whole numbers or class names; a bool is false (0) or true (1)."""
    numbers = {name: number for number, name in enumerate(class_names)}
    labels: list[int] = []
    for row, value in enumerate(values):
        number = numbers.get(value, value) if isinstance(value, str) else value
        if not isinstance(number, int):
            raise ExitbenchError(
                f"{label}: expected integer labels, got {value!r}; columns: {', '.join(columns)}, {label}; "
                f"row {row}; texts must be among class_names"
            )
        labels.append(number)
    return labels
