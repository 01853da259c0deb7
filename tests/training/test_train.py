"""Training changes what it should, goes on where it stopped, and leaves weights that load as they were."""

from functools import partial

import pytest
import small_data
import torch
from commands import refused
from small_models import small_dvt
from warm import CONF

from benchmark.models.pretrained.weights import check_state, load_weights, save_weights
from benchmark.training import losses
from benchmark.training.augment import flip_and_shift
from benchmark.training.train import Recipe, train
from benchmark.types import ExitbenchError


def recipe(**changed) -> Recipe:
    arguments = {"loss": losses.plain_sum, "epochs": 6, "batch_size": 20, "learning_rate": 0.01, "weight_decay": 0.0}
    return Recipe(**{**arguments, **changed})


def accuracy(model, samples) -> list[float]:
    with torch.inference_mode():
        logits = torch.stack(list(model.exits(model.collate(samples))), 1)
    labels = torch.tensor([sample.label for sample in samples])
    return (logits.argmax(-1) == labels[:, None]).double().mean(0).tolist()


@pytest.mark.filterwarnings("ignore")  # the trainer's own
def test_joint_training_teaches_every_exit(tmp_path):
    model, dataset = small_dvt(), small_data.images()
    before = accuracy(model, dataset.test)
    train(model, dataset, recipe(), tmp_path / "run")
    after = accuracy(model, dataset.test)
    assert all(now > max(then, 0.6) for then, now in zip(before, after, strict=True)), (before, after)


@pytest.mark.filterwarnings("ignore")
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path):
    dataset = small_data.images()
    torch.manual_seed(1)
    whole = small_dvt()
    train(whole, dataset, recipe(epochs=2), tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill_in_second_epoch(losses_seen, calls=[]):  # noqa: B006 – counts over the whole run
        calls.append(1)
        if len(calls) == 5:
            raise Killed
        return losses.plain_sum(losses_seen)

    torch.manual_seed(1)
    parted = small_dvt()
    with pytest.raises(Killed):
        train(parted, dataset, recipe(epochs=2, loss=kill_in_second_epoch), tmp_path / "parted")
    resumed = small_dvt()
    train(resumed, dataset, recipe(epochs=2), tmp_path / "parted")
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, msg=name)


@pytest.mark.parametrize("name", ["tiny", "weights/tiny.safetensors"])
def test_the_command_writes_weights_and_card_that_load(tmp_path, warm, name):
    """Into the folder of weights under a name, or to the very file that a yaml's checkpoint says."""
    words = ["train", "--config-dir", CONF, "model=small_dvt", "recipe.epochs=1", "recipe.batch_size=16",
             f"name={name}", "runs=runs", "weights=weights"]  # fmt: skip
    answer = warm.call(*words, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "runs" / "tiny").is_dir()
    card = (tmp_path / "weights" / "tiny.md").read_text()
    assert "exitbench train model=small_dvt" in card
    model = small_dvt()
    load_weights(model, str(tmp_path / "weights" / "tiny.safetensors"))
    stated = [float(line.split("|")[3]) for line in card.splitlines() if line.startswith(("| 1", "| 2", "| 3"))]
    assert stated == pytest.approx(accuracy(model, small_data.images().test), abs=1e-4)


def test_a_recipe_that_cannot_be_is_one_line(tmp_path, warm):
    line = refused(warm.call("train", "--config-dir", CONF, "model=small_dvt", "recipe.epochs=0", cwd=tmp_path))
    assert "recipe.epochs" in line
    with pytest.raises(ExitbenchError, match="warmup"):
        recipe(warmup=1.5)


def test_checkpoints_that_do_not_fit_name_their_keys(tmp_path):
    model = small_dvt()
    state = dict(model.state_dict())
    first, second, *_ = state
    del state[first]
    state[second] = torch.zeros(2, 2)
    state["surplus"] = torch.zeros(1)
    path = tmp_path / "odd.safetensors"
    save_weights(state, path)
    with pytest.raises(ExitbenchError, match=r"1 missing.*1 unknown.*1 of another shape"):
        load_weights(model, str(path))
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(ExitbenchError, match="not a whole safetensors"):
        load_weights(model, str(path))
    check_state(model.state_dict(), model.state_dict(), "itself")


def test_losses_are_those_of_the_papers():
    each = torch.tensor([1.0, 2.0, 4.0])
    assert losses.plain_sum(each) == 7
    assert losses.depth_weighted(each) == pytest.approx((1 + 4 + 12) / 6)
    assert losses.last_only(each) == 4


def test_augmented_images_are_the_same_pictures_moved():
    pixels = torch.zeros(64, 1, 7, 7)
    pixels[:, :, 2:5, 3] = 1
    moved = flip_and_shift(pixels, 2, True)
    assert moved.shape == pixels.shape
    assert (moved.sum((1, 2, 3)) <= 3).all()
    assert len({tuple(one.flatten().tolist()) for one in moved}) > 10
    assert torch.equal(flip_and_shift(pixels, 0, False), pixels)
    assert partial(flip_and_shift, shift=0, flip=True)(pixels).sum() == pixels.sum()
