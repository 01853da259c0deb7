"""Workloads: the identity, the attack by kind of sample, and its cache."""

from __future__ import annotations

import ast
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from attack_doubles import Pictures, halfway, pictures, reader, sentences
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn

from benchmark.attacks import cache as attack_cache
from benchmark.attacks import objectives
from benchmark.attacks.adversarial import Adversarial
from benchmark.attacks.clean import Clean
from benchmark.attacks.pixels.search import PixelSearch
from benchmark.attacks.words import semantic_similarity
from benchmark.attacks.words.search import WordSearch
from benchmark.policies.always_first import AlwaysFirst
from benchmark.policies.confidence import Confidence
from benchmark.policies.never import Never
from benchmark.policies.patience import Patience
from benchmark.types import ExitbenchError, ImageSample, NotApplicable, Perturbed, Sample, Source, TextSample
from benchmark.utils import identity

CONF = Path(__file__).parents[2] / "conf" / "workload"
MODEL, POLICY = Pictures(), Confidence(0.6)
SEARCHES = {"image": PixelSearch(iterations=3), "text": WordSearch(shortlist=6, beam=2, rounds=2)}


@dataclass(frozen=True)
class Counting(PixelSearch):
    """A pixel search that counts its runs and can be interrupted before run n."""

    runs: ClassVar[list[int]] = []
    stop_at: ClassVar[int] = 99

    def run(self, *arguments, **named) -> Perturbed:  # type: ignore[override]
        if len(self.runs) == self.stop_at:
            raise KeyboardInterrupt
        self.runs.append(1)
        return super().run(*arguments, **named)


@pytest.fixture
def counting():
    Counting.runs.clear()
    yield Counting
    Counting.stop_at = 99


def workload(folder: Path, search: PixelSearch | None = None, **changes) -> Adversarial:
    searches = {"image": search} if search else SEARCHES
    return replace(Adversarial("same", objectives.same, searches, cache=str(folder)), **changes)


def assert_equal(left: Perturbed, right: Perturbed) -> None:
    assert left.facts | {"seconds": []} == right.facts | {"seconds": []}
    for a, b in zip(left.samples, right.samples, strict=True):
        assert (a.index, a.label) == (b.index, b.label)
        if isinstance(a, ImageSample) and isinstance(b, ImageSample):
            assert torch.equal(a.pixels, b.pixels)
        else:
            assert a == b


def test_clean_changes_nothing():
    samples = pictures(3)
    result = Clean().apply(MODEL, POLICY, samples)
    assert result.samples is samples
    assert result.facts == {}


@pytest.mark.parametrize("kind", ["image", "text"])
def test_a_repeated_attack_comes_from_the_cache_and_is_identical(kind: str, tmp_path: Path):
    samples: Sequence[Sample] = pictures(5) if kind == "image" else sentences()
    model = MODEL if kind == "image" else reader()
    policy = POLICY if kind == "image" else halfway(reader(), sentences())
    first, second = (workload(tmp_path, chunk=2).apply(model, policy, samples) for _ in range(2))
    assert (first.from_cache, second.from_cache) == (False, True)
    assert_equal(first, second)
    assert first.settings == second.settings
    assert first.settings["objective"]["is"] == "benchmark.attacks.objectives.same"
    assert [(s.index, s.label) for s in first.samples] == [(s.index, s.label) for s in samples]
    assert len(list(tmp_path.glob("*.json"))) == 1  # the chunks are gone


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_damaged_entry_is_detected_and_attacked_again(suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    samples = pictures(4)
    first = workload(tmp_path).apply(MODEL, POLICY, samples)
    (entry,) = tmp_path.glob(f"*{suffix}")
    content = bytearray(entry.read_bytes())
    content[-20] ^= 1
    entry.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        again = workload(tmp_path).apply(MODEL, POLICY, samples)
    assert not again.from_cache
    assert len(caplog.messages) == 1
    assert "damaged" in caplog.messages[0]
    assert [a.pixels.equal(b.pixels) for a, b in zip(first.samples, again.samples, strict=True)] == [True] * 4
    assert workload(tmp_path).apply(MODEL, POLICY, samples).from_cache


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sha256": 1, "body": {}}', '{"body": null}'])
def test_invalid_files_are_not_entries(content: str, tmp_path: Path):
    (tmp_path / "entry.json").write_text(content)
    assert attack_cache.load(tmp_path / "entry.json", pictures(1)) is None


def test_edited_facts_are_rejected(tmp_path: Path):
    workload(tmp_path).apply(MODEL, POLICY, pictures(2))
    (entry,) = tmp_path.glob("*.json")
    stored = json.loads(entry.read_text())
    stored["body"]["facts"]["depth_after"] = [4.0, 4.0]
    entry.write_text(json.dumps(stored))
    assert not workload(tmp_path).apply(MODEL, POLICY, pictures(2)).from_cache


def test_everything_that_matters_is_in_the_key():
    def key(model=MODEL, policy=POLICY, samples=None, objective=objectives.same, search=SEARCHES["image"], seed=0):
        settings = {"o": attack_cache.describe(objective), "s": attack_cache.describe(search), "seed": seed}
        return attack_cache.key_of(model, policy, samples or pictures(3), settings)

    other = Pictures()
    nn.init.zeros_(other.heads[0])
    touched = pictures(3)
    touched[1] = replace(touched[1], pixels=touched[1].pixels * 0.5)
    keys = [
        key(),
        key(model=other),
        key(policy=Confidence(0.61)),
        key(samples=pictures(2)),
        key(samples=touched),
        key(samples=[replace(sample, label=0) for sample in pictures(3)]),
        key(objective=objectives.uniform),
        key(objective=partial(objectives.same, lam=0.5)),
        key(search=PixelSearch(iterations=4)),
        key(seed=1),
    ]
    assert len(set(keys)) == len(keys)
    assert key() == key(model=Pictures(), policy=Confidence(0.6))


def test_a_tokenizer_s_hash_does_not_depend_on_how_it_was_used():
    model = reader()
    before = identity.tokenizer_hash(model.tokenizer)
    model.tokenizer(["great movie", "film"], padding=True, truncation=True, max_length=4)
    assert identity.tokenizer_hash(model.tokenizer) == before
    assert identity.tokenizer_hash(reader(lower_cased=False).tokenizer) != before


def test_an_interrupted_attack_resumes(tmp_path: Path, counting: type[Counting]):
    samples, search = pictures(6), counting(iterations=2)
    counting.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        workload(tmp_path, search, chunk=2).apply(MODEL, POLICY, samples)
    counting.stop_at = 99
    resumed = workload(tmp_path, search, chunk=2).apply(MODEL, POLICY, samples)
    assert len(counting.runs) == 3
    assert_equal(resumed, workload(tmp_path / "whole", search, chunk=2).apply(MODEL, POLICY, samples))


def test_no_samples_no_attack():
    assert list(workload(Path("unused")).apply(MODEL, POLICY, []).samples) == []


def test_a_model_without_a_weights_hash_is_refused(tmp_path: Path):
    class Nameless:
        num_exits, num_classes = 4, 3

    with pytest.raises(ExitbenchError, match=r"model\.weights_hash: expected"):
        workload(tmp_path).apply(Nameless(), POLICY, pictures(1))  # type: ignore[arg-type]


def test_a_kind_without_a_search_is_refused(tmp_path: Path):
    with pytest.raises(ExitbenchError, match=r"expected samples of one kind out of image, got text"):
        workload(tmp_path, PixelSearch()).apply(MODEL, POLICY, [TextSample(0, 0, ("a",))])


def test_wrong_arguments(tmp_path: Path):
    with pytest.raises(ExitbenchError, match=r"searches\.text: expected a search for text, got one for image"):
        workload(tmp_path, searches={"text": PixelSearch()})
    with pytest.raises(ExitbenchError, match=r"objective\.lam: expected"):
        workload(tmp_path, objective=partial(objectives.same, lam=2))
    with pytest.raises(ExitbenchError, match=r"workload\.seed: expected a whole number"):
        workload(tmp_path, seed=-1)


@pytest.mark.parametrize("name", sorted(path.stem for path in CONF.glob("*.yaml")))
def test_every_yaml_builds_a_workload_of_its_name_and_has_a_header(name: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        result = instantiate(compose(name))
    assert result.name == name
    head = [line for line in (CONF / f"{name}.yaml").read_text().splitlines() if line.startswith("#")]
    assert [line.split(":")[0] for line in head[1:4]] == ["# Source", "# Command", "# Expect"]


def test_random_differs_from_same_only_in_its_candidates():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        same, rival = (instantiate(compose(name)) for name in ("same", "random"))
    assert rival.searches["text"] == replace(same.searches["text"], candidates="random")
    assert rival.searches["image"] == replace(same.searches["image"], direction="random")
    assert attack_cache.describe(rival.objective) == attack_cache.describe(same.objective)
    assert same.searches["text"] == WordSearch()
    assert same.searches["image"] == PixelSearch()


def test_the_key_depends_on_the_attack_code_and_not_on_comments():
    """Every module that a search or the workload imports from the suite is in the hash, or cannot affect an attack."""
    package = Path(attack_cache.__file__).parents[1]
    harmless = {
        "attacks/cache",
        "utils/cache",
        "utils/checks",
        "utils/progress",
        "types",
    }  # keep, report, check, declare
    harmless |= {"data/sources/assets"}  # fetches the sentence encoder by its hash
    todo, seen = {"attacks/adversarial", "attacks/words/search", "attacks/pixels/search", "attacks/objectives"}, set()
    while todo:
        name = todo.pop()
        seen.add(name)
        tree = ast.parse((package / f"{name}.py").read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("benchmark"):
                inner = (node.module or "").partition("benchmark.")[2].replace(".", "/")
                room = package / inner
                inside = room.is_dir() and inner != "types"
                todo |= {f"{inner}/{alias.name}".lstrip("/") for alias in node.names} if inside else {inner}
        todo -= seen | harmless
    assert seen == set(attack_cache.CODE_FILES)
    normalised = attack_cache._normalised_syntax
    assert normalised('"""A."""\nx = 1  # one') == normalised("x = 1")
    with_docstring, plain = normalised("def f():\n    '''Doc.'''\n    return 1"), normalised("def f(): return 1")
    assert with_docstring == plain != normalised("def f(): return 2")


def test_changed_code_is_a_new_attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    workload(tmp_path).apply(MODEL, POLICY, pictures(2))
    monkeypatch.setattr(attack_cache, "code_hash", lambda: "changed")
    assert not workload(tmp_path).apply(MODEL, POLICY, pictures(2)).from_cache


def test_trails_are_cached(tmp_path: Path):
    first, second = (workload(tmp_path, chunk=2).apply(MODEL, POLICY, pictures(5)) for _ in range(2))
    assert second.from_cache
    assert [[list(step) for step in trail] for trail in first.trails] == second.trails
    assert len(second.trails) == 5


def test_a_rule_without_a_depth_to_attack_is_refused(tmp_path: Path):
    for policy in (AlwaysFirst(), Confidence(0.0), Patience(0)):
        with pytest.raises(NotApplicable, match=r"always leaves at exit 1; choose another rule"):
            workload(tmp_path).apply(MODEL, policy, pictures(2))


def test_a_rule_that_never_exits_is_a_counted_no_op(tmp_path: Path):
    result = workload(tmp_path).apply(MODEL, Never(), pictures(3))
    assert result.facts["queries"] == [1.0] * 3
    assert result.facts["changed"] == [0.0] * 3


def test_a_transfer_attack_runs_against_its_source(tmp_path: Path):
    other = Pictures()
    nn.init.normal_(other.heads[0])
    source = Source(other, Confidence(0.7))
    attack = workload(tmp_path, source_model="other", source=source)
    result = attack.apply(MODEL, POLICY, pictures(6))
    direct = workload(tmp_path).apply(other, Confidence(0.7), pictures(6))
    assert direct.from_cache
    assert_equal(result, direct)
    assert result.settings["source"]["model"] == "other"
    assert result.settings["source"]["threshold"] == 0.7
    with pytest.raises(ExitbenchError, match=r"source_model: expected a source built from it"):
        replace(attack, source=None).apply(MODEL, POLICY, pictures(1))


def test_the_sentence_encoder_runs_once_per_changed_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []

    def vectors(name: str, texts: Sequence[str]) -> list[torch.Tensor]:
        seen.extend(texts)
        return [nn.functional.normalize(torch.tensor([len(text), 1.0]), dim=0) for text in texts]

    monkeypatch.setattr(semantic_similarity, "_encode", vectors)
    samples = sentences()
    result = workload(tmp_path, meaning="pretend").apply(reader(), halfway(reader(), samples), samples)
    changed = [n for n in result.facts["changed"] if n]
    assert len(set(seen)) == len(seen) <= 2 * len(changed)
    for value, count in zip(result.facts["meaning"], result.facts["changed"], strict=True):
        assert (value == 1) == (count == 0)
        assert value <= 1 + 1e-6
