"""The card says how a checkpoint came about: every stage with its settings, and the task's own metric."""

from types import SimpleNamespace

from benchmark.training.card import recipe_lines, write_card
from benchmark.training.train import Stage

STAGE = {
    "_target_": "a.Recipe",
    "loss": {"_target_": "benchmark.training.losses.last_only", "_partial_": True},
    "epochs": 2,
}


def test_every_stage_is_a_line_with_what_it_took():
    second = {**STAGE, "each": {"_target_": "benchmark.training.losses.distilled", "_partial_": True, "share": 0.9}}
    stages = [Stage("first", 4000, 61.4), Stage("second", 2, 1.0)]
    lines = recipe_lines({"seed": 0, "first": STAGE, "second": second}, stages)
    assert lines[0] == "- stage first: loss last_only, epochs 2; 4,000 steps in 61 s"
    assert lines[1] == "- stage second: loss last_only, epochs 2, each distilled (share 0.9); 2 steps in 1 s"
    turns = {**STAGE, "loss": [STAGE["loss"], {"_target_": "benchmark.training.losses.plain_sum", "_partial_": True}]}
    assert recipe_lines(turns, [Stage("", 3, 2)])[0].startswith("- recipe: loss ['last_only', 'plain_sum']")


def test_a_score_stands_beside_the_accuracies(tmp_path):
    dataset = SimpleNamespace(name="d", version=1, train=[0], calibration=[0], test=[0], fingerprint="f", metric="f1")
    exits = [{"calibration": 0.5, "test": 0.6, "gmacs": 0.1, "score": 0.7}, {"calibration": 0.5, "test": 0.6,
             "gmacs": 0.2, "score": 0.8125}]  # fmt: skip
    write_card(tmp_path / "card.md", "name", "command", dataset, "0" * 64, 60.0, "cpu", {"epochs": 2}, exits)
    text = (tmp_path / "card.md").read_text()
    assert "Test f1, the task's own metric, exit by exit: 0.7000, 0.8125." in text
    assert "- recipe: epochs 2" in text
