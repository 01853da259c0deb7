"""Every recipe lowers its own loss; stages leave alone what is not theirs; what is interrupted ends up the same."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from separable import changed, sentences, state, student
from torch import nn

from benchmark.config.compose import build, compose
from benchmark.training import losses
from benchmark.training.recipe import Recipe, Stages
from benchmark.training.train import train
from benchmark.training.trainer import SECONDS_FILE, TrainableExits
from benchmark.types import ExitbenchError

pytestmark = pytest.mark.filterwarnings("ignore")  # the trainer's and peft's own

TEXTS = ["joint_weighted", "two_stage", "alternating", "gradient_equilibrium", "self_distillation",
         "self_distillation_joint", "joint_texts", "last_only_texts"]  # fmt: skip
# Its losses are multiplied by the squared temperature: at 0.005 the loss rises with some seeds.
RATES = {"self_distillation_joint": 0.002}
BASE = {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "weight_decay": 0.01, "by_length": True}


def two_stages(**changed_exits) -> Stages:
    return Stages(
        backbone=Recipe(losses.last_only, **BASE),
        exits=Recipe(losses.all_but_last, **{**BASE, "keep_last_exit": True, **changed_exits}),
    )


def own_loss(model, recipe: Recipe, samples) -> float:
    taught = TrainableExits(model, recipe).eval()
    batch = model.collate(samples)
    labels = torch.tensor([sample.label for sample in samples])
    with torch.no_grad():
        total = 0.0
        for taught.step in range(len(recipe.turns)):
            total += float(taught(labels, batch.lengths, **batch.inputs)["loss"])
    return total


@pytest.mark.parametrize("name", TEXTS)
def test_every_recipe_lowers_its_own_loss(name, tmp_path):
    node = compose("train", [f"recipe={name}"]).recipe
    low_rank = 2 if name in TEXTS[::2] else 0
    for stage in [node[key] for key in ("backbone", "exits")] if "backbone" in node else [node]:
        stage.update(epochs=10, batch_size=8, learning_rate=RATES.get(name, 0.02 if low_rank else 0.005))
    recipe, dataset = build(node), sentences()
    model = student(low_rank, learn_to_exit=name == "alternating")
    untrained = state(model)
    for number, stage in enumerate(recipe.stages.values()):
        before = own_loss(model, stage, dataset.train)
        (done,) = train(model, dataset, stage, tmp_path / str(number))
        assert own_loss(model, stage, dataset.train) < (0.95 if name in RATES else 0.9) * before
        assert done.steps == 40
    assert not model.training
    moved = changed(untrained, model)
    assert any("backbone" in each for each in moved)
    assert all("lora" in each or "heads" in each for each in moved) or not low_rank


def test_the_second_stage_leaves_all_of_the_last_exit_alone(tmp_path):
    dataset, model = sentences(), student(2)
    train(model, dataset, two_stages().stages["backbone"], tmp_path / "first")
    before = state(model)
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    last = [list(model.exits(model.collate(dataset.test)))[-1]]
    train(model, dataset, two_stages().stages["exits"], tmp_path / "second")
    assert changed(before, model) == {name for name in before if name.startswith(("heads.0", "heads.1", "heads.2"))}
    assert all(torch.equal(buffers[name], value) for name, value in model.named_buffers())
    assert torch.equal(last[0], list(model.exits(model.collate(dataset.test)))[-1])


class Step(TrainableExits):
    """Takes optimiser steps without the trainer: what a single step moves."""

    def take(self, dataset, optimiser) -> set[str]:
        before = state(self.model)
        batch = self.model.collate(dataset.train[:8])
        labels = torch.tensor([sample.label for sample in dataset.train[:8]])
        optimiser.zero_grad()
        self(labels, batch.lengths, **batch.inputs)["loss"].backward()
        optimiser.step()
        return changed(before, self.model)


def test_even_steps_touch_no_earlier_head():
    turns = Recipe([losses.last_only, losses.plain_sum], 1, 8, 0.01, 0.1)
    model = student()
    step = Step(model, turns)
    optimiser = torch.optim.AdamW(model.parameters(), 0.01, weight_decay=0.1)
    moved = []
    for step.step in range(3):
        moved.append(Counter(name.split(".")[1] for name in step.take(sentences(), optimiser) if "heads" in name))
    assert set(moved[0]) == {"3"}
    assert set(moved[1]) == {"0", "1", "2", "3"}
    assert set(moved[2]) == {"3"}  # with momentum from step 1 and decay, which a gradient of zeros would let act


class Zeroed(Step):
    """The broken double: an exit that is not taught gets a gradient of zeros."""

    def __init__(self, model, recipe):
        super().__init__(model, recipe)
        self.trained = [[True] * model.num_exits for _ in self.trained]


def test_a_gradient_of_zeros_would_be_seen():
    model = student()
    step = Zeroed(model, Recipe([losses.last_only, losses.plain_sum], 1, 8, 0.01, 0.1))
    optimiser = torch.optim.AdamW(model.parameters(), 0.01, weight_decay=0.1)
    assert any("heads.0" in name for name in step.take(sentences(), optimiser))


def test_certainty_joins_each_exits_loss_and_no_logit_is_taken_for_a_class():
    model, dataset = student(learn_to_exit=True), sentences()
    with_it, without = (own_loss(model, Recipe(losses.plain_sum, 1, 8, 0.1, 0.0, certainty=c), dataset.train)
                        for c in (1.0, 0.0))  # fmt: skip
    rows = list(model.exits(model.collate(dataset.train)))
    labels = torch.tensor([sample.label for sample in dataset.train])
    plain = sum(nn.functional.cross_entropy(row[:, :2], labels) for row in rows)
    squares = sum(losses.certainty_loss(row[:, 2], row[:, :2], labels) for row in rows)
    assert without == pytest.approx(float(plain), rel=1e-5)
    assert with_it == pytest.approx(float(plain + squares), rel=1e-5)


class Killed(Exception):
    pass


def kill_at(model, batch_number: int):
    """The model fails as it collates that batch, counted over all of its training."""
    collate, calls = model.collate, []

    def counted(samples):
        calls.append(len(samples))
        if calls.count(8) == batch_number:
            raise Killed
        return collate(samples)

    model.collate = counted
    return model


@pytest.mark.parametrize("killed_at", [6, 14])  # 4 batches an epoch, 2 epochs a stage
def test_an_interrupted_training_ends_up_the_same(killed_at, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmark.training.trainer.SAVE_EVERY", 3)  # in the middle of an epoch
    dataset = sentences()
    whole = student(pooler="shared")
    train(whole, dataset, two_stages(), tmp_path / "whole")
    with pytest.raises(Killed):
        train(kill_at(student(pooler="shared"), killed_at), dataset, two_stages(), tmp_path / "parted")
    first = (tmp_path / "parted" / "backbone").rglob(SECONDS_FILE)
    stamp = {path: path.stat().st_mtime_ns for path in first}
    resumed = student(pooler="shared")
    train(resumed, dataset, two_stages(), tmp_path / "parted")
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, msg=name)
    if killed_at > 8:  # stage 1 was finished, and is not trained again
        assert all(path.stat().st_mtime_ns == before for path, before in stamp.items())


def test_a_finished_training_is_taken_as_it_is(tmp_path):
    dataset, model = sentences(), student()
    first = train(model, dataset, two_stages(), tmp_path)
    again = student()
    second = train(again, dataset, two_stages(), tmp_path)
    assert changed(state(model), again) == set()
    assert [stage.seconds for stage in second] == pytest.approx([stage.seconds for stage in first], rel=0.5)
    assert len(list(Path(tmp_path).rglob("checkpoint-*"))) == 2


def test_recipes_that_cannot_be_are_one_line():
    for wrong, names in [
        ({"loss": []}, "recipe.loss"), ({"only": "heads"}, "recipe.only"), ({"only": ["("]}, "recipe.only"),
        ({"project": "first"}, "recipe.project"), ({"epochs": 0}, "recipe.epochs"),
    ]:  # fmt: skip
        with pytest.raises(ExitbenchError, match=names):
            Recipe(**{"loss": losses.plain_sum, **BASE, **wrong})
    with pytest.raises(ExitbenchError, match="stages"):
        Stages()
    with pytest.raises(ExitbenchError, match="stages"):
        Stages(first={"epochs": 2})
