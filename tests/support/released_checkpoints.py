"""Small synthetic checkpoints as the authors of multi-exit encoders released theirs, and what they should answer.

The answers are computed by hand: the library's own model gives the hidden states, and the poolers and classifiers are
applied to them under the names they were released with.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from small_encoders import backbone, tokenizer
from torch import Tensor

from benchmark.models.pretrained.weights import save_weights

CLASSES = 3
LAYOUTS = ["deebert", "deeroberta", "berxit", "pabee", "pabee_albert", "elasticbert"]
FAMILY = {"deeroberta": "roberta", "pabee_albert": "albert"}


def linear(width: int, out: int, *names: str) -> dict[str, Tensor]:
    return {f"{'.'.join(names)}.weight": torch.randn(out, width), f"{'.'.join(names)}.bias": torch.randn(out)}


def release(kind: str, classes: int = CLASSES) -> tuple[Any, dict[str, Tensor]]:
    """The library's encoder and a state dict around it as the authors of `kind` named it."""
    family = FAMILY.get(kind, "bert")
    made, prefix = backbone(family), "elasticbert" if kind == "elasticbert" else family
    d, depth = made.config.hidden_size, made.config.num_hidden_layers
    torch.manual_seed(9)
    state = {f"{prefix}.{name}": value for name, value in made.state_dict().items()}
    state[f"{prefix}.embeddings.position_ids"] = torch.arange(40)[None]  # a buffer that older versions saved
    if kind in ("deebert", "deeroberta", "berxit"):
        for n in range(depth):
            state |= linear(d, d, prefix, f"encoder.highway.{n}.pooler.dense")
            state |= linear(d, classes, prefix, f"encoder.highway.{n}.classifier")
        state |= linear(d, d, prefix, "pooler.dense") | linear(d, classes, "classifier")
        state |= linear(d, 1, prefix, "encoder.lte_classifier") if kind == "berxit" else {}
        return made, state
    if kind == "elasticbert":
        for n in range(depth):
            state |= linear(d, d, prefix, f"encoder.pooler.{n}.dense")
    else:
        state |= linear(d, d, prefix, "pooler" if family == "albert" else "pooler.dense")
    for n in range(depth):
        state |= linear(d, classes, "classifiers", str(n))
    return made, state


def folder_of(
    kind: str, folder: Path, form: str = "safetensors", classes: int = CLASSES
) -> tuple[Any, dict[str, Tensor]]:
    """The checkpoint as a folder like those on the hub; the configuration as old as the checkpoints are."""
    made, state = release(kind, classes)
    folder.mkdir(parents=True)
    tokenizer(made.config.pad_token_id).save_pretrained(folder)
    config = made.config.to_dict()
    if kind in ("deebert", "berxit"):
        del config["model_type"]  # checkpoints of 2020 name none
    if kind == "elasticbert":
        config |= {"model_type": "elasticbert", "num_output_layers": 3, "max_output_layers": 3}
    (folder / "config.json").write_text(json.dumps({**config, "finetuning_task": "sst-2", "torchscript": False}))
    if form == "safetensors":
        save_weights(state, folder / "model.safetensors")
    else:
        torch.save(state, folder / "pytorch_model.bin")
    return made, state


@torch.no_grad()
def by_hand(kind: str, made: Any, state: dict[str, Tensor], inputs: dict[str, Tensor]) -> Tensor:
    """Logits (b, E, C) of the released weights, in the released words."""
    prefix = "elasticbert" if kind == "elasticbert" else made.config.model_type
    known = {name: value for name, value in inputs.items() if name != "token_type_ids"}
    states = made(**known, output_hidden_states=True).hidden_states[1:]
    depth, logits = len(states), []
    for n, hidden in enumerate(states):
        first = hidden[:, 0]
        if kind in ("deebert", "deeroberta", "berxit"):
            final = n == depth - 1
            dense = f"{prefix}.pooler.dense" if final else f"{prefix}.encoder.highway.{n}.pooler.dense"
            classify = "classifier" if final else f"{prefix}.encoder.highway.{n}.classifier"
        else:
            dense = {"elasticbert": f"elasticbert.encoder.pooler.{n}.dense", "pabee_albert": "albert.pooler"}.get(
                kind, "bert.pooler.dense"
            )
            classify = f"classifiers.{n}"
        pooled = torch.tanh(first @ state[f"{dense}.weight"].T + state[f"{dense}.bias"])
        logits.append(pooled @ state[f"{classify}.weight"].T + state[f"{classify}.bias"])
    return torch.stack(logits, 1)
