"""The attacked workload: an objective, and a search that minimises it for each kind of sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import AcquireReturnProxy, FileLock

from benchmark.attacks import cache as attack_cache
from benchmark.attacks.words import semantic_similarity
from benchmark.policies import replay as exit_depths
from benchmark.types import (
    EarlyExitModel,
    ExitbenchError,
    Finished,
    NotApplicable,
    Objective,
    Perturbed,
    Policy,
    Sample,
    Search,
    Source,
)
from benchmark.utils import checks
from benchmark.utils.cache import cache_dir
from benchmark.utils.progress import track

if TYPE_CHECKING:
    from tqdm import tqdm


@dataclass(frozen=True)
class Adversarial:
    """Attacks samples against a model under a policy, once: the result is cached (see `attacks.cache`).

    searches: by kind of sample, "text" and "image". chunk: samples attacked together; each finished chunk is stored,
    so an interrupted attack resumes. cache: the folder, null for `attacks` in the suite's cache.
    meaning: the sentence encoder for the column `meaning` of texts, or "none".
    source_model, source_policy, source_threshold: the choices that `source` is built from; see `run.transfer`.
    """

    name: str
    objective: Objective
    searches: Mapping[str, Search]
    seed: int = 0
    chunk: int = 64
    cache: str | None = None
    meaning: str = semantic_similarity.NONE
    source_model: str | None = None
    source_policy: str | None = None
    source_threshold: float | str = "auto"
    source: Source | None = None

    def __post_init__(self) -> None:
        checks.whole_number("workload.seed", self.seed, 0)
        checks.whole_number("workload.chunk", self.chunk, 1)
        if not self.searches:
            raise ExitbenchError("workload.searches: expected a search for at least one kind of sample, got none")
        for kind, search in self.searches.items():
            if search.kind != kind:
                raise ExitbenchError(
                    f"workload.searches.{kind}: expected a search for {kind}, got one for {search.kind}"
                )
        self.objective(torch.zeros(1, 2, 2), torch.ones(1, dtype=torch.long))  # fails early on wrong arguments
        object.__setattr__(self, "searches", dict(self.searches))

    def apply(self, model: EarlyExitModel, policy: Policy, samples: Sequence[Sample]) -> Perturbed:
        """The attacked samples with their per-sample columns; from the cache if this attack has been run before.

        Raises:
            NotApplicable: the rule leaves at one exit before the last on any input, so its depth cannot be attacked.
            ExitbenchError: samples of a kind without a search; a model that the search does not support.
        """
        if not samples:
            return Perturbed([])
        search = self._search(samples)
        if self.source is not None:
            model, policy = self.source.model, self.source.policy
        elif self.source_model or self.source_policy:
            raise ExitbenchError("workload.source_model: expected a source built from it, got none; see `run.transfer`")
        refuse_constant_depth(policy, model)
        settings = {
            "objective": attack_cache.describe(self.objective),
            "search": attack_cache.describe(search),
            "seed": self.seed,
            "chunk": self.chunk,
            "meaning": self.meaning,
        }
        key = attack_cache.key_of(model, policy, samples, settings)
        folder = Path(self.cache) if self.cache else cache_dir() / "attacks"
        path = folder / f"{key}.json"
        if (attacked := attack_cache.load(path, samples)) is None:
            with _locked(path):
                attacked = attack_cache.load(path, samples, warn=False)
                attacked = attacked or self._attack(model, policy, search, samples, path)
        return replace(attacked, settings=settings | self._source_settings())

    def _source_settings(self) -> dict[str, Any]:
        if self.source is None:
            return {}
        rule = self.source.policy
        source = {"model": self.source_model, "weights_sha256": getattr(self.source.model, "weights_hash", None)}
        return {"source": source | {"policy": rule.name, "threshold": rule.threshold}}

    def _search(self, samples: Sequence[Sample]) -> Search:
        kinds = {sample.kind for sample in samples}
        if len(kinds) != 1 or not kinds <= set(self.searches):
            raise ExitbenchError(
                f"workload.searches: expected samples of one kind out of {', '.join(self.searches)}, "
                f"got {', '.join(sorted(kinds))}"
            )
        return self.searches[kinds.pop()]

    def _attack(
        self, model: EarlyExitModel, policy: Policy, search: Search, samples: Sequence[Sample], path: Path
    ) -> Perturbed:
        """Attack chunk by chunk and store each; the entry of the whole replaces the chunks' entries at the end."""
        parts: list[Perturbed] = []
        chunk_paths: list[Path] = []
        with track(samples, f"attack {self.name}", total=len(samples), unit="sample") as bar:
            on_finished = _progress_callback(bar, model.num_exits)
            for start in range(0, len(samples), self.chunk):
                chunk = samples[start : start + self.chunk]
                chunk_paths.append(path.with_name(f"{path.stem}.{start}.json"))
                part = attack_cache.load(chunk_paths[-1], chunk)
                if part is None:
                    part = search.run(model, policy, self.objective, chunk, self.seed, on_finished)
                    part = self._with_similarity(part, chunk)
                    attack_cache.save(chunk_paths[-1], part)
                else:
                    _replay_progress(part, on_finished)
                parts.append(part)
        attacked = _concatenated(parts)
        attack_cache.save(path, attacked)
        for chunk_path in chunk_paths:
            attack_cache.remove(chunk_path)
        return attacked

    def _with_similarity(self, part: Perturbed, clean: Sequence[Sample]) -> Perturbed:
        """The part with the column `meaning`, for texts and unless it is switched off."""
        if self.meaning == semantic_similarity.NONE or clean[0].kind != "text":
            return part
        cosines = semantic_similarity.cosines(self.meaning, clean, part.samples)
        return replace(part, facts=part.facts | {"meaning": cosines})


def refuse_constant_depth(policy: Policy, model: EarlyExitModel) -> None:
    """Raise NotApplicable for a rule that leaves at one exit before the last on any logits.

    Tested on random logits from uniform to confident, on which exits agree and disagree.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (64, model.num_exits, model.num_classes)
    logits = torch.randn(shape, generator=generator) * torch.logspace(-3, 2, 64)[:, None, None]
    extra = torch.randn(*shape[:2], getattr(model, "extra_columns", 0), generator=generator) * 10
    depth = exit_depths.replay(policy, logits, extra)
    if (depth == depth[0]).all() and depth[0] < model.num_exits:
        raise NotApplicable(
            f"policy {policy.name}: expected a rule whose exit depends on the input, to attack its depth, got one that "
            f"always leaves at exit {int(depth[0])}; choose another rule or threshold"
        )


def _locked(path: Path) -> AcquireReturnProxy:
    """Lock an entry, so that two sweeps do not run the same attack; raises ExitbenchError if it cannot be locked."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path.with_suffix(".lock")).acquire()
    except OSError as error:
        raise ExitbenchError(
            f"cannot write the cache {path.parent}: {error}; set EXITBENCH_CACHE to a writable folder"
        ) from error


def _concatenated(parts: Sequence[Perturbed]) -> Perturbed:
    """Parts in order as one."""
    facts = {name: [value for part in parts for value in part.facts[name]] for name in parts[0].facts}
    samples = [sample for part in parts for sample in part.samples]
    return Perturbed(samples, facts, trails=[trail for part in parts for trail in part.trails])


def _replay_progress(part: Perturbed, on_finished: Finished) -> None:
    for before, after in zip(part.facts["depth_before"], part.facts["depth_after"], strict=True):
        on_finished(int(before), int(after))


def _progress_callback(bar: tqdm[Sample], num_exits: int) -> Finished:
    """Advances the bar by a sample and shows the share of the layer gain lost so far: (m′ − m) / (E − m)."""
    done, before_sum, after_sum = 0, 0, 0

    def on_finished(depth_before: int, depth_after: int) -> None:
        nonlocal done, before_sum, after_sum
        done, before_sum, after_sum = done + 1, before_sum + depth_before, after_sum + depth_after
        if (gain := num_exits * done - before_sum) > 0:
            bar.set_postfix_str(f"gain lost {(after_sum - before_sum) / gain:.0%}", refresh=False)
        bar.update()

    return on_finished
