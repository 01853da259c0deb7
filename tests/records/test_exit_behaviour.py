"""Figures of a trace's exits: against brute force, what they imply of each other, and broken doubles of each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_records import make_record

from benchmark.records import consistency, leaderboard
from benchmark.records import exit_behaviour as behaviour
from benchmark.records.columns import EXIT_BEHAVIOUR
from benchmark.types import ExitbenchError

seeds = given(seed=st.integers(0, 10_000), exits=st.integers(1, 6), classes=st.integers(2, 4))


def case(seed: int, exits: int = 5, classes: int = 3, n: int = 40):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, n)
    return 2 * draw.normal(size=(n, exits, classes)), labels, draw.integers(1, exits + 1, n)


def right_of(logits, labels):
    return logits.argmax(-1) == labels[:, None]


def by_hand(right, depths, earlier: bool) -> float:
    """Share of wrong answers with a right exit before, or after, counted sample by sample."""
    found = 0
    for row, depth in zip(right.tolist(), depths.tolist(), strict=True):
        others = row[: depth - 1] if earlier else row[depth:]
        found += not row[depth - 1] and True in others
    return found / len(depths)


@seeds
def test_thinking_too_long_and_too_little_by_hand(seed, exits, classes):
    logits, labels, depths = case(seed, exits, classes)
    right = right_of(logits, labels)
    assert behaviour.overthinking(right, depths) == by_hand(right, depths, earlier=True)
    assert behaviour.underthinking(right, depths) == by_hand(right, depths, earlier=False)


@seeds
def test_what_an_oracle_adds_is_thought_too_long_or_too_little(seed, exits, classes):
    logits, labels, depths = case(seed, exits, classes)
    found = behaviour.exit_behaviour(logits, labels, depths)
    parts = found["overthinking"], found["underthinking"]
    assert max(parts) - 1e-12 <= found["oracle_gap"] <= sum(parts) + 1e-12
    assert all(type(value) is float and 0 <= value <= 1 for value in found.values())


@seeds
def test_at_the_ends_of_the_scale_one_kind_is_left(seed, exits, classes):
    logits, labels, _ = case(seed, exits, classes)
    for depth, absent, present in ((1, "overthinking", "underthinking"), (exits, "underthinking", "overthinking")):
        found = behaviour.exit_behaviour(logits, labels, np.full(len(labels), depth))
        assert found[absent] == 0
        assert found[present] == pytest.approx(found["oracle_gap"])
        assert found["exit_leak"] == 0


def including_the_exit_taken(right, depths):
    """A broken double of overthinking: any exit but the one taken counts as an earlier one."""
    return float((~right[np.arange(len(depths)), depths - 1] & right.any(1)).mean())


def whatever_the_answer(right, depths):
    """A broken double of overthinking: it counts right answers too."""
    return float((right & (np.arange(1, right.shape[1] + 1) < depths[:, None])).any(1).mean())


@pytest.mark.parametrize("double", [including_the_exit_taken, whatever_the_answer])
def test_overthinking_that_counts_too_much_is_caught(double):
    logits, labels, depths = case(0)
    right = right_of(logits, labels)
    assert double(right, depths) != by_hand(right, depths, earlier=True)


def test_underthinking_that_looks_back_is_caught():
    logits, labels, depths = case(0)
    right = right_of(logits, labels)
    assert behaviour.underthinking(right[:, ::-1], depths) != by_hand(right, depths, earlier=False)


def test_an_oracle_of_the_exits_taken_alone_is_caught():
    logits, labels, depths = case(0)
    blind = right_of(logits, labels)[np.arange(len(depths)), depths - 1].mean()
    assert behaviour.exit_behaviour(logits, labels, depths)["oracle_accuracy"] > blind


def loss_by_hand(curve) -> float:
    return max([a - b for i, a in enumerate(curve) for b in curve[i + 1 :]] + [0.0])


def between_neighbours(probability):
    """A broken double of the largest loss: it looks one exit ahead."""
    return np.maximum(-np.diff(probability, axis=1), 0).max(1)


def first_against_last(probability):
    """A broken double of the largest loss: it forgets the exits between."""
    return np.maximum(probability[:, 0] - probability[:, -1], 0)


@seeds
def test_the_largest_loss_by_hand(seed, exits, classes):
    logits, labels, depths = case(seed, exits, classes)
    probability = behaviour.true_class_probability(logits, labels)
    wanted = np.array([loss_by_hand(curve) for curve in probability.tolist()])
    assert behaviour.largest_loss(probability) == pytest.approx(wanted)
    assert (behaviour.largest_loss(np.sort(probability, 1)) == 0).all()
    found = behaviour.exit_behaviour(logits, labels, depths)
    assert found["nonmonotone_50"] <= found["nonmonotone_25"]
    assert found["nonmonotone_25"] == (wanted > 0.25).mean()


@pytest.mark.parametrize("double", [between_neighbours, first_against_last])
def test_a_loss_that_sees_too_few_pairs_is_caught(double):
    logits, labels, _ = case(0)
    probability = behaviour.true_class_probability(logits, labels)
    assert not np.allclose(double(probability), [loss_by_hand(curve) for curve in probability.tolist()])


@seeds
def test_large_logits_are_probabilities_too(seed, exits, classes):
    logits, labels, depths = case(seed, exits, classes)
    moved = behaviour.exit_behaviour(logits + 1e3, labels, depths)
    assert moved == pytest.approx(behaviour.exit_behaviour(logits, labels, depths))


def leak_by_hand(answers, depths) -> float:
    pairs = list(zip(answers.tolist(), depths.tolist(), strict=True))
    at = [[c for c, d in pairs if d == depth] for depth in set(depths.tolist())]
    guessed = sum(max(map(there.count, there)) for there in at)
    return (guessed - max(map(answers.tolist().count, answers.tolist()))) / len(pairs)


@seeds
def test_a_leak_by_hand(seed, exits, classes):
    _, answers, depths = case(seed, exits, classes)
    found = behaviour.exit_leak(answers, depths)
    assert found == pytest.approx(leak_by_hand(answers, depths))
    assert found >= 0
    relabelled = behaviour.exit_leak(classes - 1 - answers, exits + 1 - depths)
    assert relabelled == pytest.approx(found)


def test_an_exit_for_each_class_tells_all_and_a_shared_one_nothing():
    answers = np.arange(30) % 3
    assert behaviour.exit_leak(answers, answers + 1) == pytest.approx(2 / 3)
    assert behaviour.exit_leak(answers, np.repeat([1, 2], 15)) == 0


def test_what_chance_leaks_is_what_shuffled_exits_leak():
    _, answers, depths = case(0, n=2000)
    told = np.where(np.random.default_rng(1).random(2000) < 0.5, answers + 1, depths)
    for seen in (depths, told):
        chance = behaviour.exit_leak_chance(answers, seen)
        assert chance == pytest.approx(behaviour.exit_leak(answers, depths), abs=0.02)
        assert chance < behaviour.exit_leak_chance(answers[:50], seen[:50])
    assert behaviour.exit_leak(answers, told) > 0.2
    assert behaviour.exit_leak_chance(answers, np.ones(2000, dtype=int)) == 0


def not_over_the_majority(answers, depths):
    """A broken double of the leak: how often the exit's guess is right, whatever a blind guess would do."""
    return float(sum(np.bincount(answers[depths == depth]).max() for depth in set(depths.tolist())) / len(depths))


def test_a_leak_not_over_the_majority_is_caught():
    _, answers, depths = case(0)
    assert not_over_the_majority(answers, depths) != pytest.approx(leak_by_hand(answers, depths))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda logits, labels, depths: (logits[:, 0], labels, depths), r"expected logits \(N, E, C\)"),
        (lambda logits, labels, depths: (logits, labels[1:], depths), "labels"),
        (lambda logits, labels, depths: (logits[:0], labels[:0], depths[:0]), "at least one sample"),
        (lambda logits, labels, depths: (logits, labels + 1, depths), r"labels in 0 … 2, got 1 … 3"),
        (lambda logits, labels, depths: (logits, labels, depths - 1), r"depths in 1 … 5, got 0"),
    ],
)
def test_what_does_not_fit_is_one_line(change, message):
    with pytest.raises(ExitbenchError, match=message):
        behaviour.exit_behaviour(*change(*case(0)))


def with_behaviour(change: float = 0.0):
    record = make_record()
    found = behaviour.exit_behaviour(*case(0))
    found["oracle_gap"] = found["oracle_accuracy"] - record.results["accuracy"]["value"] + change
    record.results["exit_behaviour"] = found
    return record


def test_rows_have_the_figures_and_those_of_older_records_none():
    table = leaderboard.frame([with_behaviour(), make_record(policy="entropy")]).set_index("policy")
    wanted = with_behaviour().results["exit_behaviour"]
    assert dict(table.loc["confidence", list(EXIT_BEHAVIOUR)]) == {name: wanted[name] for name in EXIT_BEHAVIOUR}
    assert table.loc["entropy", list(EXIT_BEHAVIOUR)].isna().all()


def test_a_gap_that_does_not_follow_is_caught():
    assert consistency.contradictions(with_behaviour()) == []
    assert "oracle_gap" in consistency.contradictions(with_behaviour(0.01))[0]


def test_a_csv_from_before_the_columns_is_read(tmp_path):
    table = leaderboard.frame([make_record()])
    csv = tmp_path / "old.csv"
    table[[name for name in leaderboard.CSV_COLUMNS if name not in EXIT_BEHAVIOUR]].to_csv(csv, index=False)
    assert leaderboard.read_csv(csv, [make_record()])[list(EXIT_BEHAVIOUR)].isna().to_numpy().all()
