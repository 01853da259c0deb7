"""A submission is checked line by line: a sound one passes, and a tampered record of each kind is caught."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from make_records import make_failed, make_record

from benchmark.cli.main import main
from benchmark.records import record as record_files
from benchmark.records.submission import CARD, check, pinned_fingerprint
from benchmark.types import ExitbenchError

SOUND = {
    "name": "My cascade", "authors": ["A. Author"], "contact": "a@example.org", "license": "Apache-2.0",
    "description": "A DVT.", "command": "exitbench run model=mine",
}  # fmt: skip
MACHINE = {"id": "a1b2c3d4", "cpu_model": "A chip", "cores": 2, "cores_usable": 2, "memory_gib": 8, "os": "Linux",
           "python": "3.11", "torch": "2.15"}  # fmt: skip


def sound(**changes):
    provenance = {
        "exitbench": "0.4.0", "git_commit": "a" * 40, "git_dirty": False, "versions": {"torch": "2.15", "numpy": "2.4"},
        "weights_sha256": "b" * 64, "dataset_fingerprint": pinned_fingerprint("fashion_mnist"),
    }  # fmt: skip
    made = make_record(rounds=80, machine="a1b2c3d4")
    point = {**made.operating_point, "chosen_by": "calibration"}
    made = replace(made, machine={**made.machine, **MACHINE}, provenance=provenance, operating_point=point)
    return replace(made, **changes)


def submit(folder, *records, card=SOUND):
    for made in records:
        record_files.write(made, folder / "records")
    if card is not None:
        (folder / CARD).write_text(json.dumps(card))  # JSON is YAML
    return folder


def errors(folder):
    return [str(finding) for finding in check(folder)[0] if finding.level == "error"]


def test_a_sound_submission_has_no_errors(tmp_path, capsys):
    submit(tmp_path, sound())
    assert errors(tmp_path) == []
    assert main(["check-submission", str(tmp_path)]) == 0
    assert "1 records, 0 errors" in capsys.readouterr().out


def section(name, **changes):
    made = sound()
    return {name: {**getattr(made, name), **changes}}


TAMPERED = {
    "mac_speedup": section("results", mac_speedup=9.0),
    "exit_histogram": section("results", exit_histogram=[2000, 0, 0]),
    "speedup": section("latency", speedup=9.0),
    "canary": section("latency", canary_lo=1.02, canary_hi=1.09),
    "uncommitted changes": section("provenance", git_dirty=True),
    "versions of torch": section("provenance", versions={"numpy": "2.4"}),
    "sha256 of the weights": section("provenance", weights_sha256="untrained"),
    "fingerprint": section("provenance", dataset_fingerprint="c" * 64),
    "test split": section("data", split="train"),
    "calibration data": section("operating_point", chosen_by="test"),
    "memory_gib": section("machine", memory_gib=0),
    "limit says 5": {"config": {"limit": 5}},
}


@pytest.mark.parametrize("word", TAMPERED)
def test_a_tampered_record_is_caught_though_it_is_sealed_again(word, tmp_path, capsys):
    submit(tmp_path, sound(**TAMPERED[word]))
    found = errors(tmp_path)
    assert found
    assert any(word in line or word.split("_")[0] in line for line in found), found
    assert main(["check-submission", str(tmp_path)]) == 1


def test_a_broken_seal_is_caught(tmp_path):
    submit(tmp_path, sound())
    (file,) = (tmp_path / "records").glob("*.json")
    file.write_text(file.read_text().replace('"status": "ok"', '"status": "ok" '))
    assert any("content_sha256" in line for line in errors(tmp_path))


def test_a_renamed_record_is_caught(tmp_path):
    submit(tmp_path, sound())
    (file,) = (tmp_path / "records").glob("*.json")
    file.rename(file.with_name("0123456789abcdef.json"))
    assert any("renamed" in line for line in errors(tmp_path))


@pytest.mark.parametrize("name", ["name", "authors", "contact", "license", "description", "command"])
def test_a_card_must_say_everything(name, tmp_path):
    submit(tmp_path, sound(), card={key: value for key, value in SOUND.items() if key != name})
    assert any(f"{CARD}: {name}" in line for line in errors(tmp_path))


def test_a_missing_card_and_missing_records_are_said(tmp_path):
    submit(tmp_path, card=None)
    assert len(errors(tmp_path)) == 2
    (tmp_path / CARD).write_text("[1, 2")
    assert any("YAML" in line for line in errors(tmp_path))


def test_two_contents_of_one_dataset_do_not_mix(tmp_path):
    other = sound(record_id="0123456789abcdef", **section("provenance", dataset_fingerprint="d" * 64))
    submit(tmp_path, sound(), other)
    assert any("different contents" in line for line in errors(tmp_path))


def test_failed_records_alone_are_nothing_to_rank(tmp_path):
    submit(tmp_path, make_failed())
    assert any("none is ok" in line for line in errors(tmp_path))


def test_no_folder_is_a_mistake(tmp_path):
    with pytest.raises(ExitbenchError, match="expected a folder"):
        check(tmp_path / "none")
