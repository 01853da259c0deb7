"""Encoders of the transformers library that can have exits after their layers: a view for each model type."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from benchmark.models.layers.bert_encoders import Albert, Bert, DistilBert, Electra, Roberta
from benchmark.models.layers.relative_encoders import DebertaV2, ModernBert, MPNet
from benchmark.types import ExitbenchError

FAMILIES: dict[str, type[Bert]] = {
    "bert": Bert, "roberta": Roberta, "xlm-roberta": Roberta, "camembert": Roberta,
    "electra": Electra, "albert": Albert, "distilbert": DistilBert,
    "mpnet": MPNet, "deberta-v2": DebertaV2, "modernbert": ModernBert,
}  # fmt: skip
# Between versions the library changed the inputs of these layers, so each is checked on two small texts before use.
CHECKED_TYPES = frozenset({"mpnet", "deberta-v2", "modernbert"})


def encoder_of(backbone: nn.Module) -> Bert:
    """The view of a backbone whose type is in `FAMILIES`, or of another one that gives BERT's or RoBERTa's results.

    Raises:
        ExitbenchError: an architecture whose layers, run by any of these views, do not give the library's result.
    """
    kind: str = backbone.config.model_type  # type: ignore[union-attr, assignment]
    # Without padding RoBERTa equals BERT on texts shorter than its positions, so it comes first.
    for view in (FAMILIES[kind],) if kind in FAMILIES else (Roberta, Bert):
        if (kind in FAMILIES and kind not in CHECKED_TYPES) or _matches_library(view, backbone):
            return view(backbone)
    raise ExitbenchError(
        f"model.backbone: expected an encoder built like {', '.join(FAMILIES)}, got one of type {kind!r} whose layers, "
        "run one by one, do not give the library's own answer; to bring another family, add its view to "
        "models.layers.encoders.FAMILIES (docs/add_model.md)"
    )


@torch.no_grad()
def _matches_library(family: type[Bert], backbone: Any) -> bool:
    """Whether a view's layers give the result of the library's own forward, on two synthetic texts, one padded."""
    training = backbone.training
    backbone.eval()
    try:
        view = family(backbone)
        padding = view.config.pad_token_id or 0
        ids = torch.arange(10).reshape(2, 5) % (len(view.table) - 1)
        ids = ids + (ids >= padding)  # never the padding token
        mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
        inputs = {"input_ids": torch.where(mask > 0, ids, padding), "attention_mask": mask}
        hidden = view.output(view.run(view.embed(inputs), mask, 0, view.depth))
        expected = backbone(**inputs).last_hidden_state
        return bool(((hidden - expected).abs() * mask[..., None]).max() < 1e-4)
    except Exception:  # whatever it raises, an unknown architecture is not of this family
        return False
    finally:
        backbone.train(training)
