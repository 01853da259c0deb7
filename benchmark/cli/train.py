"""`exitbench train`: a model's exits trained, its weights and their card written."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def run(arguments: argparse.Namespace) -> int:
    """Train what the overrides say, then evaluate every exit on calibration and test data for the card."""
    from benchmark.config.compose import build, compose
    from benchmark.utils.library_logging import silence_libraries

    cfg = compose("train", arguments.overrides, arguments.config_dir)
    silence_libraries()
    import torch

    from benchmark.training.checkpoint_folder import bind_settings
    from benchmark.training.train import check_fit, train

    torch.set_num_threads(cfg.threads)
    recipe = build(cfg.recipe)
    dataset = build(cfg.dataset)
    torch.manual_seed(recipe.seed)
    model = build(cfg.model, checkpoint="")
    check_fit(model, dataset)
    folder = Path(cfg.runs) / _destination(cfg).stem
    bind_settings(folder, _settings(cfg, dataset))
    stages = train(model, dataset, recipe, folder, cfg.device, cfg.limit)
    _keep(cfg, model, dataset, stages, "exitbench train " + " ".join(arguments.overrides))
    return 0


def _destination(cfg: Any) -> Path:
    """Where the weights go: the file that `model.checkpoint` names, or its packaged name in the folder of weights."""
    named = Path(cfg.name)
    return named if named.suffix == ".safetensors" else Path(cfg.weights) / f"{cfg.name}.safetensors"


def _settings(cfg: Any, dataset: Any) -> dict[str, Any]:
    """All that decides what training makes, in plain types."""
    from omegaconf import OmegaConf

    chosen = {key: OmegaConf.to_container(cfg[key], resolve=True) for key in ("model", "recipe")}
    return {**chosen, "limit": cfg.limit, "data": dataset.fingerprint, "samples": len(dataset.train)}


def _keep(cfg: Any, model: Any, dataset: Any, stages: Any, command: str) -> None:
    from omegaconf import OmegaConf

    from benchmark.config.compose import build
    from benchmark.models.pretrained.weights import save_weights
    from benchmark.training.card import recipe_lines, write_card

    weights = _destination(cfg)
    sha256 = save_weights(model.trainable_state(), weights)
    # What is evaluated is what was written: loaded afresh, low-rank updates merged as users will have them.
    loaded = build(cfg.model, checkpoint=str(weights))
    exits = _evaluate(loaded, dataset)
    seconds = sum(stage.seconds for stage in stages)
    settings: Any = OmegaConf.to_container(cfg.recipe, resolve=True)
    lines = recipe_lines(settings, stages)
    card = weights.with_suffix(".md")
    write_card(card, weights.stem, command, dataset, sha256, seconds, cfg.device, {}, exits, lines)
    for depth, row in enumerate(exits, 1):
        print(f"exit {depth}: calibration {row['calibration']:.4f}, test {row['test']:.4f}, {row['gmacs']:.5f} GMACs")
    print(f"wrote {weights} and its card")


def _evaluate(model: Any, dataset: Any) -> list[dict[str, float]]:
    from benchmark.cost.macs import cost, table
    from benchmark.records import metrics
    from benchmark.run.trace import trace

    rows: list[dict[str, float]] = [{} for _ in range(model.num_exits)]
    traces = {
        split: trace(model, getattr(dataset, split), description=f"evaluate on {split}")
        for split in ("calibration", "test")
    }
    for split, traced in traces.items():
        right = traced.logits.argmax(-1) == traced.labels[:, None]  # (N, E)
        for row, accuracy in zip(rows, right.double().mean(0).tolist(), strict=True):
            row[split] = accuracy
    test = traces["test"]
    macs = table(cost(model, test.lengths.tolist()), test.lengths).mean(0) / 1e9
    for row, gmacs in zip(rows, macs.tolist(), strict=True):
        row["gmacs"] = gmacs
    if dataset.metric != "accuracy":
        answers, labels = test.logits.argmax(-1).numpy(), test.labels.numpy()
        for depth, row in enumerate(rows):
            row["score"] = metrics.score(dataset.metric, answers[:, depth], labels)
    return rows
