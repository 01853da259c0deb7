"""Old `_target_` paths, in users' yamls and in committed records, lead to the objects of today, with one line."""

import json

import pytest

from benchmark.config import moved_targets
from benchmark.config.compose import build
from benchmark.config.moved_targets import MOVED, current, with_current_targets
from benchmark.config.targets import faults
from benchmark.utils.project_root import project_root

OLD = {
    "benchmark.workloads.clean.Clean": "benchmark.attacks.clean.Clean",
    "benchmark.workloads.adversarial.Adversarial": "benchmark.attacks.adversarial.Adversarial",
    "benchmark.searches.words.WordSearch": "benchmark.attacks.words.search.WordSearch",
    "benchmark.searches.pixels.PixelSearch": "benchmark.attacks.pixels.search.PixelSearch",
    "benchmark.objectives.same": "benchmark.attacks.objectives.same",
    "benchmark.hardware.resolve": "benchmark.hardware.profiles.resolve",
    "benchmark.train.Recipe": "benchmark.training.train.Recipe",
}


@pytest.fixture(autouse=True)
def not_yet_announced():
    moved_targets._announce.cache_clear()


@pytest.mark.parametrize("old", OLD)
def test_an_old_path_is_todays_and_one_line_says_so(old, capsys):
    assert [current(old), current(old)] == [OLD[old]] * 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"exitbench: _target_: {old} is deprecated, it is {OLD[old]} now; ")


@pytest.mark.parametrize("path", [*OLD.values(), "mine.model.build", "Clean"])
def test_other_paths_stay_without_a_word(path, capsys):
    assert current(path) == path
    assert not capsys.readouterr().err


def test_old_paths_are_found_at_every_depth_and_the_node_is_not_changed():
    node = {"_target_": "benchmark.workloads.adversarial.Adversarial", "searches": [{"_target_": "mine.Search"}, 3],
            "objective": {"_target_": "benchmark.objectives.same", "_partial_": True}}  # fmt: skip
    before = json.dumps(node)
    assert with_current_targets(node) == {
        "_target_": "benchmark.attacks.adversarial.Adversarial", "searches": [{"_target_": "mine.Search"}, 3],
        "objective": {"_target_": "benchmark.attacks.objectives.same", "_partial_": True}}  # fmt: skip
    assert json.dumps(node) == before


def test_an_old_path_is_built_and_checked():
    assert type(build({"_target_": "benchmark.workloads.clean.Clean"})).__module__ == "benchmark.attacks.clean"
    assert list(faults({"_target_": "benchmark.workloads.clean.Clean"}, "workload")) == []
    (line,) = faults({"_target_": "benchmark.workloads.clean.Clear"}, "workload")
    assert "cannot locate benchmark.attacks.clean.Clear" in line


def targets(node):
    if isinstance(node, dict):
        yield from [node["_target_"]] if isinstance(node.get("_target_"), str) else []
        yield from (found for value in node.values() for found in targets(value))
    elif isinstance(node, list):
        yield from (found for value in node for found in targets(value))


def test_every_target_of_every_committed_record_exists():
    """Which also says that the table is complete, and that nothing it leads to has moved again."""
    files = sorted((project_root() / "results").glob("**/records/*.json"))
    recorded = {target for file in files for target in targets(json.loads(file.read_text())["config"])}
    assert {target.rpartition(".")[0] for target in recorded} >= set(MOVED) - {"benchmark.train"}
    unknown = [line for target in sorted(recorded) for line in faults({"_target_": target, "_partial_": True}, target)]
    assert unknown == []
