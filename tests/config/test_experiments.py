"""An experiment made of others is one command: every part in turn, counts and failures over all, and safe to repeat."""

import shutil
from pathlib import Path

import pytest
from warm import CONF

from benchmark.config import experiments
from benchmark.config.validation import validate
from benchmark.types import ExitbenchError
from benchmark.utils.project_root import project_root

SWEEP = "# @package _global_\n# A small sweep of a test.\n{}hydra:\n  sweeper:\n    params:\n      {}\n"
YAMLS = {
    "both": "# @package _global_\n# Two small sweeps at once.\nparts: [rules, broken]\n",
    "rules": SWEEP.format("limit: 4\ntiming: {samples: 0}\n", "policy: confidence,entropy\n      model: small_dvt"),
    "broken": SWEEP.format("limit: 4\ntiming: {samples: 0}\n", "model: small_dvt\n      hardware.threads: 1,4096"),
}


@pytest.fixture
def own(tmp_path) -> Path:
    shutil.copytree(CONF, tmp_path / "conf")
    for name, text in YAMLS.items():
        place = tmp_path / "conf" / "experiment" / f"{name}.yaml"
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
    return tmp_path / "conf"


def test_each_part_takes_the_other_overrides(own):
    assert experiments.expand_parts(["limit=3", "+experiment=both"], [own]) == [
        ("rules", ["limit=3", "+experiment=rules"]),
        ("broken", ["limit=3", "+experiment=broken"]),
    ]
    for words in (["+experiment=rules"], ["model=small_dvt"], ["+experiment=nowhere"]):
        assert experiments.expand_parts(words, [own]) == [("", words)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("parts: [rules, nowhere]", "no experiment nowhere"),
        ("parts: [both]", "both has parts of its own"),
        ("parts: [rules]\nlimit: 3", "got limit beside"),
        ("parts: rules", "expected a list"),
        ("parts: []", "expected a list"),
    ],
)
def test_mistakes_are_one_line_and_seen_by_validate(own, text, says):
    (own / "experiment" / "mine.yaml").write_text(f"# @package _global_\n# One that is wrong.\n{text}\n")
    with pytest.raises(ExitbenchError, match=says) as caught:
        experiments.expand_parts(["+experiment=mine"], [own])
    assert "\n" not in str(caught.value)
    for folder in own.iterdir():  # the rest is looked at elsewhere
        if folder.name not in ("experiment", "model"):
            shutil.rmtree(folder)
    assert any(says in fault for fault in validate([own], str(own), lambda items, _: items).faults)


def test_the_reference_sweep_is_one_command():
    assert len(experiments.parts_of("reference", [project_root() / "conf"])) == 4


def test_all_parts_run_and_are_counted_together(warm, own):
    words = ["run", "-m", "--config-dir", str(own), "+experiment=both", "records=parts", "isolate=false"]
    command = warm.start(*words)
    assert command.wait() == 1, command.output  # for what the second part asks and no machine has
    assert "part rules (1 of 2)" in command.output
    assert "exitbench: 4 combinations: 2 measured, 1 there before, 1 failed" in command.output
    assert command.output.count("exitbench: 1 combination(s) failed") == 1
    again = warm.start(*words)
    assert again.wait() == 1
    assert again.output.count("skip ") == 4
