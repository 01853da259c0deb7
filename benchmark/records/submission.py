"""Whether a submission can go on the board: its card, its seals, its figures, its clock, and the data it was made on.

A submission is a folder with `card.yaml` and `records/`. Nothing in it is run; `exitbench rerun` measures a record
again.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.records import record as record_files
from benchmark.records.consistency import contradictions
from benchmark.records.schema import Record
from benchmark.types import ExitbenchError
from benchmark.utils.project_root import project_root

CARD = "card.yaml"
# What a card must say, and what of it is a list.
CARD_TEXTS = ("name", "description", "contact", "license", "command")
CARD_LISTS = ("authors",)
MACHINE_FACTS = ("id", "cpu_model", "cores", "cores_usable", "memory_gib", "os", "python", "torch")
PACKAGES = ("torch", "numpy")
CHOSEN_ON = ("calibration", "released", "given")
SHA256 = re.compile(r"[0-9a-f]{64}")
UNPINNED = "unpinned"


@dataclass(frozen=True)
class Finding:
    """One thing about a submission; an error keeps it off the board, a note is for whoever reads it."""

    level: str  # "error" or "note"
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.level}: {self.place}: {self.text}"


def check(folder: Path) -> tuple[list[Finding], int]:
    """All findings about a submission in a folder, and how many sound records it holds.

    Raises:
        ExitbenchError: there is no such folder.
    """
    if not folder.is_dir():
        raise ExitbenchError(f"check-submission: expected a folder with {CARD} and records/, got {folder}")
    findings = list(_card(folder / CARD))
    files = sorted((folder / "records").glob("*.json"))
    if not files:
        findings.append(Finding("error", "records", "expected sealed records in records/, got none"))
    records: list[Record] = []
    for file in files:
        try:
            records.append(record_files.read(file))
        except ExitbenchError as error:
            findings.append(Finding("error", file.name, str(error).removeprefix(f"{file}: ")))
    for record in records:
        findings += [
            Finding(level, record.record_id, text) for check_one in CHECKS for level, text in check_one(record)
        ]
    findings += _one_dataset_each(records)
    if records and all(record.status != "ok" for record in records):
        findings.append(Finding("error", "records", "none is ok, so nothing can be ranked"))
    return findings, len(records)


def _card(file: Path) -> Iterator[Finding]:
    import yaml

    try:
        card = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError:
        yield Finding("error", CARD, f"expected {CARD} beside records/, got none; docs/submit.md shows one")
        return
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        yield Finding("error", CARD, f"cannot be read as YAML: {' '.join(str(error).split())}")
        return
    if not isinstance(card, Mapping):
        yield Finding("error", CARD, f"expected names with values, got {type(card).__name__}")
        return
    for name in CARD_TEXTS:
        if not isinstance(card.get(name), str) or not card[name].strip():
            yield Finding("error", CARD, f"{name}: expected a text, got {card.get(name)!r}")
    for name in CARD_LISTS:
        values = card.get(name)
        if not isinstance(values, list) or not values or not all(isinstance(value, str) and value for value in values):
            yield Finding("error", CARD, f"{name}: expected a list of texts, got {values!r}")


Findings = Iterator[tuple[str, str]]


def _failure(record: Record) -> Findings:
    yield "note", f"failed: {'; '.join(record.reasons)}"


def _figures(record: Record) -> Findings:
    for line in contradictions(record):
        yield "error", line.partition(": ")[2]


def _clock(record: Record) -> Findings:
    """The canary is held to the rule that the stopwatch applies, whatever the record's status says."""
    latency = record.latency
    if not latency:
        yield "note", "not timed: it can have no speed-up on the board"
        return
    low, high = latency.get("canary_lo"), latency.get("canary_hi")
    if low is None or high is None:
        yield "error", "latency: expected the canary's interval, got none"
    elif record.status == "ok" and not low <= 1 <= high:
        yield "error", f"status is ok, but the canary's interval [{low:.3f}, {high:.3f}] misses 1"
    elif record.status == "unreliable":
        yield "note", f"unreliable: {'; '.join(record.reasons)}"


def _versions(record: Record) -> Findings:
    provenance = record.provenance
    if not provenance.get("exitbench"):
        yield "error", "provenance: expected the version of exitbench, got none"
    if absent := [name for name in PACKAGES if not provenance.get("versions", {}).get(name)]:
        yield "error", f"provenance: expected the versions of {', '.join(absent)}, got none"
    if not provenance.get("git_commit"):
        yield "note", "provenance: no commit; it was made from an installed package"
    if provenance.get("git_dirty"):
        yield "error", "provenance: made from a working tree with uncommitted changes; commit and measure again"
    if not SHA256.fullmatch(str(provenance.get("weights_sha256"))):
        yield "error", "provenance: expected a sha256 of the weights, got none; untrained models are not ranked"


def _data(record: Record) -> Findings:
    """The whole test split or a seeded part of it, of the data that everybody else has, and nothing chosen on it."""
    data, config = record.data, record.config
    if data.get("split") != "test":
        yield "error", f"data: expected the test split, got {data.get('split')!r}"
    chosen_by = str(record.operating_point.get("chosen_by"))
    if chosen_by not in CHOSEN_ON:
        yield "error", f"operating_point: expected a threshold chosen on calibration data, got {chosen_by!r}"
    elif chosen_by == "given":
        yield "note", "the threshold was given by hand; the card should say where it comes from"
    pinned, got = pinned_fingerprint(record.choices["dataset"]), record.provenance.get("dataset_fingerprint")
    if pinned not in ("", UNPINNED) and got != pinned:
        yield (
            "error",
            f"data: expected the fingerprint {pinned[:12]}… of {record.choices['dataset']}, got {str(got)[:12]}…",
        )
    if config.get("limit") not in (None, 0) and config["limit"] < data.get("n", 0):
        yield "error", f"data: {data.get('n')} samples were measured where limit says {config['limit']}"


def _machine(record: Record) -> Findings:
    if absent := [name for name in MACHINE_FACTS if record.machine.get(name) in (None, "", 0)]:
        yield "error", f"machine: expected {', '.join(absent)}, got none"


CHECKS: Sequence[Callable[[Record], Findings]] = (_figures, _clock, _versions, _data, _machine)


def _one_dataset_each(records: Sequence[Record]) -> Iterator[Finding]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        found[record.choices["dataset"]].add(str(record.provenance.get("dataset_fingerprint")))
    for dataset, fingerprints in sorted(found.items()):
        if len(fingerprints) > 1:
            yield Finding("error", dataset, f"its records were made on {len(fingerprints)} different contents")


def pinned_fingerprint(dataset: str) -> str:
    """The fingerprint that our own choice of a dataset pins; empty for a dataset that is none of ours."""
    import yaml

    file = project_root() / "conf" / "dataset" / f"{dataset}.yaml"
    if not re.fullmatch(r"[\w-]+", dataset) or not file.is_file():
        return ""
    node: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    return str(node.get("fingerprint", ""))
