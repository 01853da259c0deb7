"""Every exit rule: live equals replay, thresholds reach both ends, and what definitions imply of each other."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import yaml
from certain_exits import CertainExits, PlainExits
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_exits import CLASSES, EXITS

from benchmark.config.compose import build
from benchmark.engine.execute import run_early
from benchmark.policies.always_first import AlwaysFirst
from benchmark.policies.calibration import threshold_grid
from benchmark.policies.entropy import Entropy
from benchmark.policies.learned import Learned
from benchmark.policies.never import Never
from benchmark.policies.oracle import Oracle
from benchmark.policies.patience import Patience
from benchmark.policies.pcee import PatientConfident
from benchmark.policies.replay import live, replay, signals
from benchmark.policies.vote import Vote
from benchmark.run.settings import rule_arguments
from benchmark.types import ExitbenchError, NotApplicable, Trace

CONF = Path(__file__).parents[2] / "conf" / "policy"
MODEL = CertainExits()
BATCH = MODEL.collate(range(20))
LOGITS, EXTRA = MODEL.columns(BATCH)
LABELS = torch.arange(20) % CLASSES
TRACE = Trace(LOGITS, LABELS, torch.zeros(20, dtype=torch.int64), extra=EXTRA)
MACS = torch.tensor(MODEL.closed_form_macs(0)).double().expand(20, -1)


def from_yaml(name: str):
    """The rule as its yaml builds it, and whether its threshold is chosen; one that solves its own has solved them."""
    node = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    for parent in node.pop("defaults", []):
        node = {**yaml.safe_load((CONF / f"{parent}.yaml").read_text()), **node}
    node = rule_arguments(node) | {"threshold": node["threshold"]}
    choose = node["threshold"] == "auto"
    node |= {"gmacs": float(MACS.mean() / 1e9)} if "gmacs" in node and node["gmacs"] is None else {}
    policy = build({**node, "threshold": 0.0 if choose else node["threshold"]})
    solves = getattr(policy, "fit", None)
    return (solves(TRACE, MACS), False) if solves else (policy, choose)


def runs_live(name: str) -> bool:
    return from_yaml(name)[0].reads != "hindsight"


# `official` takes its thresholds from an authors' checkpoint, and is held to the same by its own tests.
NAMES = sorted(file.stem for file in CONF.glob("*.yaml") if file.stem != "official")
TUNED = [name for name in NAMES if from_yaml(name)[1]]


def some_thresholds(policy) -> list[float]:
    at = threshold_grid.thresholds(signals(policy, LOGITS, EXTRA), policy.rising)
    return at[torch.linspace(0, len(at) - 1, 5).round().long()].tolist()


def differences(policy, size: int) -> int:
    """At how many samples the live run and the replay leave at different exits or answer differently."""
    depths = replay(policy, LOGITS, EXTRA)
    wanted = LOGITS[torch.arange(len(LOGITS)), depths - 1].argmax(-1)
    differ = 0
    for start in range(0, 20, size):
        rows = slice(start, min(start + size, 20))
        for run in (lambda b: live(policy, MODEL, b), lambda b: run_early(MODEL, policy, b)):
            with torch.inference_mode():
                answers, lived = run(MODEL.collate(range(rows.start, rows.stop)))
            assert answers.shape[1] == CLASSES
            differ += int(((lived != depths[rows]) | (answers.argmax(-1) != wanted[rows])).sum())
    return differ


@pytest.mark.parametrize("name", [name for name in NAMES if runs_live(name)])
@pytest.mark.parametrize("size", [1, 7])
def test_live_equals_replay(name, size):
    policy, choose = from_yaml(name)
    for threshold in some_thresholds(policy) if choose else [policy.threshold]:
        assert differences(policy.at(threshold), size) == 0, threshold


class ForgetsWhoLeft(Patience):
    """A broken double: its state does not shrink with the batch."""

    def signal(self, logits, state):
        counts, state = super().signal(logits, state.roll(1, 0))
        return counts, state


def test_a_rule_that_mixes_up_samples_is_caught():
    assert differences(ForgetsWhoLeft(1), 7) > 0


def disagreements(policy) -> int:
    """At how many samples and exits one sample alone is told otherwise than by the step for several."""
    return sum(_disagree(policy, LOGITS[row], EXTRA[row]) for row in range(len(LOGITS)))


def _disagree(policy, logits, extra) -> int:
    columns = extra if policy.reads == "extra" else logits
    state = single = policy.start(1, "cpu")
    differ = 0
    for one in columns:
        stop, state = policy.step(one[None], state)
        alone, single = policy.step_one(one[None], single)
        assert isinstance(alone, bool)
        differ += alone != bool(stop)
    return differ


def reached(policy) -> list[float]:
    """Thresholds that some samples' signals equal."""
    seen = signals(policy, LOGITS, EXTRA)
    return seen[seen.isfinite()][::9].tolist()


def hairs_beside(threshold: float) -> list[float]:
    """The threshold and its neighbours in double precision, which round to it in single."""
    return [threshold, math.nextafter(threshold, math.inf), math.nextafter(threshold, -math.inf)]


@pytest.mark.parametrize("name", [name for name in NAMES if runs_live(name)])
def test_one_sample_alone_is_told_the_same(name):
    policy, choose = from_yaml(name)
    for threshold in reached(policy) if choose else [policy.threshold]:
        for beside in hairs_beside(threshold) if choose else [threshold]:
            assert disagreements(policy.at(beside)) == 0, beside


class Unrounded(Entropy):
    """A broken double: compares with the threshold in double precision, as the step for several does not."""

    def step_one(self, logits, state):
        signal, state = self.signal(logits, state)
        return signal.item() < self.threshold, state


def test_a_threshold_compared_unrounded_is_caught():
    rule = Unrounded(0.0)
    told = [disagreements(rule.at(beside)) for at in reached(rule) for beside in hairs_beside(at)]
    assert max(told) > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_one_sample_alone_in_other_precision(dtype):
    rule = Entropy(0.0)
    for row in LOGITS.to(dtype):
        signal = rule.signal(row[:1], rule.start(1, "cpu"))[0]
        for beside in hairs_beside(signal.item()):
            at = rule.at(beside)
            state = at.start(1, "cpu")
            assert at.step_one(row[:1], state)[0] == bool(at.step(row[:1], state)[0])


class Stricter(Entropy):
    """A user's rule that says itself which signals stop."""

    def stops(self, signal):
        return signal < self.threshold / 2


def test_a_rule_that_says_itself_what_stops_is_asked():
    assert all(disagreements(Stricter(at)) == 0 for at in some_thresholds(Entropy(0.0)))


@pytest.mark.parametrize("name", TUNED)
def test_thresholds_reach_from_no_early_exit_to_the_earliest(name):
    policy, _ = from_yaml(name)
    at = threshold_grid.thresholds(signals(policy, LOGITS, EXTRA), policy.rising).tolist()
    depths = torch.stack([replay(policy.at(threshold), LOGITS, EXTRA) for threshold in at])  # (K, N)
    assert (depths == EXITS).all(1).any()
    earliest = {"pcee": 2, "flexible_patience": 2}.get(name, 1)
    assert (depths == depths.amin(0)).all(1).any()
    assert int(depths.min()) == earliest
    mean = depths.double().mean(1)
    assert (mean.diff() >= 0).all() if policy.rising else (mean.diff() <= 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_what_a_rule_computes_is_said(name):
    policy, _ = from_yaml(name)
    two, ten = policy.ops(2), policy.ops(10)
    assert ten >= two >= (0 if name in ("never", "always_first", "fixed_exit", "oracle") else 1)


def case(seed: int, exits: int = 6, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (50,), generator=draw)
    logits = 2 * torch.randn(50, exits, classes, generator=draw)
    return logits + torch.nn.functional.one_hot(labels, classes)[:, None], labels


many = given(seed=st.integers(0, 10_000))
few_examples = settings(max_examples=15, deadline=None)


@many
@few_examples
def test_pcee_with_patience_one_is_the_normalised_entropy_rule(seed):
    logits, _ = case(seed)
    for threshold in (0.0, 0.3, 0.6, 0.9, 1.1):
        alone = replay(PatientConfident(threshold, patience=1), logits)
        assert torch.equal(alone, replay(Entropy(threshold, normalised=True), logits))
        assert torch.equal(alone, replay(Entropy(threshold * math.log(3)), logits))


@many
@few_examples
def test_pcee_counts_confident_exits_in_a_row(seed):
    logits, _ = case(seed)
    confident = signals(Entropy(0.0, normalised=True), logits) < 0.7  # (N, E)
    depth = replay(PatientConfident(0.7, patience=3), logits)
    for row, found in zip(confident.tolist(), depth.tolist(), strict=True):
        runs = [m for m in range(3, 6) if all(row[m - 3 : m])]
        assert found == (runs[0] if runs else 6)
    assert (replay(PatientConfident(0.7, patience=4), logits) >= depth).all()
    assert (replay(PatientConfident(0.7, patience=9), logits) == 6).all()


@many
@few_examples
def test_a_vote_is_never_later_than_patience_with_as_many_answers(seed):
    logits, _ = case(seed)
    answers = logits.argmax(-1)
    for votes in range(1, 7):
        depth = replay(Vote(votes), logits)
        assert (depth <= replay(Patience(votes - 1), logits)).all()
        for row, found in zip(answers.tolist(), depth.tolist(), strict=True):
            enough = [m for m in range(1, 6) if row[:m].count(row[m - 1]) >= votes]
            assert found == (enough[0] if enough else 6)
    assert torch.equal(replay(Vote(1), logits), replay(AlwaysFirst(), logits))
    assert torch.equal(replay(Vote(7), logits), replay(Never(), logits))


@many
@few_examples
def test_a_scaled_vote_stops_where_the_exit_itself_has_the_votes(seed):
    logits, _ = case(seed)
    answers = logits.argmax(-1)
    depth = replay(Vote(1.3, scale=0.5), logits)
    for row, found in zip(answers.tolist(), depth.tolist(), strict=True):
        scores = [max(row[:m].count(c) for c in row[:m]) / m**0.5 for m in range(1, 7)]
        enough = [m for m in range(1, 6) if scores[m - 1] >= 1.3]
        assert found == (enough[0] if enough else 6)
        if enough:
            assert row[:found].count(row[found - 1]) == max(row[:found].count(c) for c in row[:found])


@many
@few_examples
def test_no_rule_beats_the_oracle(seed):
    logits, labels = case(seed)
    right = logits.argmax(-1) == labels[:, None]  # (N, E)
    rows = torch.arange(len(labels))
    oracle = replay(Oracle(), logits, labels=labels)
    assert torch.equal(right[rows, oracle - 1], right.any(1))
    assert (oracle[~right.any(1)] == 1).all()
    for policy in (Entropy(0.4), Patience(1), Vote(2), PatientConfident(0.5), AlwaysFirst(), Never()):
        depth = replay(policy, logits)
        good = right[rows, depth - 1]
        assert (oracle[good] <= depth[good]).all()
    for deepest in range(1, 7):
        depth = replay(Oracle(deepest), logits, labels=labels)
        assert torch.equal(depth, torch.where(oracle < deepest, oracle, 1))


def test_an_oracle_blind_to_its_labels_is_caught():
    logits, labels = case(0)
    right = logits.argmax(-1) == labels[:, None]
    blind = replay(Oracle(), logits, labels=(labels + 1) % 3)
    assert not torch.equal(right[torch.arange(50), blind - 1], right.any(1))


def test_a_rule_without_what_it_reads_is_one_line():
    plain = PlainExits()
    with pytest.raises(NotApplicable, match="learned certainty"):
        live(Learned(0.5), plain, plain.collate([0, 1]))
    with pytest.raises(NotApplicable, match="learned certainty"):
        replay(Learned(0.5), LOGITS)
    for run in (live, lambda policy, model, batch: run_early(model, policy, batch)):
        with pytest.raises(NotApplicable, match="expected labels"):
            run(Oracle(), plain, plain.collate([0]))
    with pytest.raises(NotApplicable, match="expected labels"):
        signals(Oracle(), LOGITS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Never(0.0), r"expected \.inf"),
        (lambda: AlwaysFirst(0.0), r"expected -\.inf"),
        (lambda: PatientConfident(0.5, patience=0), "whole number of exits from 1"),
        (lambda: PatientConfident(0.5, patience=True), "whole number of exits from 1"),
        (lambda: Vote(1, scale=1), r"\[0, 1\)"),
        (lambda: Vote("most"), "expected a number"),
    ],
)
def test_impossible_knobs_are_one_line(make, message):
    with pytest.raises(ExitbenchError, match=message):
        make()
