"""The attack section adds up: before and after, right and wrong, queries, examples."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from attack_doubles import pictures, sentences
from PIL import Image

from benchmark.attacks import report as attack_report
from benchmark.attacks.examples import png
from benchmark.attacks.report import Side
from benchmark.records import attack_intervals, metrics
from benchmark.types import ImageSample, Perturbed, TextSample, Trace

COSTS = torch.tensor([1.0, 3.0, 4.0], dtype=torch.float64)


def side(depth: list[int], answers: list[int], last: list[int], labels: list[int]) -> Side:
    """Three exits: the one taken gives `answers`, the last one `last`."""
    logits = torch.zeros(len(depth), 3, 2)
    rows = torch.arange(len(depth))
    logits[rows, 2, torch.tensor(last)] = 1
    for row, (deep, answer) in enumerate(zip(depth, answers, strict=True)):
        logits[row, deep - 1] = torch.nn.functional.one_hot(torch.tensor(answer), 2).float()
    trace = Trace(logits, torch.tensor(labels), rows)
    return Side(trace, COSTS.repeat(len(depth), 1), torch.tensor(depth))


LABELS = [0, 1, 0, 1]
BEFORE = side([1, 1, 2, 2], [0, 1, 0, 0], [0, 1, 0, 0], LABELS)
AFTER = side([3, 2, 3, 2], [0, 0, 1, 0], [0, 1, 1, 0], LABELS)
FACTS = {"queries": [1.0, 4.0, 2.0, 5.0], "changed": [1.0, 2.0, 3.0, 0.0], "changed_mse": [0.0, 0.0, 0.04, 0.0]}
TRAILS = [[(1, 1), (1, 3)], [(1, 1), (3, 2)], [(1, 2), (2, 3)], [(1, 2)]]


def section() -> dict:
    result = Perturbed(sentences()[:4], FACTS, {"seed": 0}, trails=TRAILS)
    return attack_report.section(result, sentences()[:4], BEFORE, AFTER)


def test_the_measures_are_those_of_the_metrics():
    result = section()
    assert (result["n"], result["depth_before"], result["depth_after"]) == (4, 1.5, 2.5)
    assert result["gain_lost"] == metrics.gain_lost(3 / 1.5, 3 / 2.5)
    assert result["gain_lost_layers"] == pytest.approx(1 / 1.5)
    assert result["gain_lost_macs"] == pytest.approx(metrics.gain_lost(16 / 8, 16 / 14))
    assert result["efficacy_before"] == pytest.approx(metrics.efficacy([2, 2, 0], COSTS))
    assert (result["accuracy_before"], result["accuracy_after"]) == (0.75, 0.25)
    assert result["share_full_depth"] == 0.5
    assert result["answer_kept"] == 0.75
    assert result["queries_mean"] == 3
    assert result["psnr_db"] == pytest.approx(20)


def test_right_and_wrong_part_the_whole():
    result = section()
    right, wrong = result["right"], result["wrong"]
    assert (right["n"], wrong["n"]) == (3, 1)
    assert right["accuracy_before"] == 1 > wrong["accuracy_before"] == 0
    for name in ("depth_after", "queries_mean", "answer_kept"):
        assert (3 * right[name] + wrong[name]) / 4 == pytest.approx(result[name])
    assert wrong["psnr_db"] is None


def test_none_wrong_is_no_division():
    only = [side([1, 1], [0, 1], [0, 1], [0, 1]), side([2, 1], [0, 1], [0, 1], [0, 1])]
    facts = {name: column[:2] for name, column in FACTS.items()}
    result = attack_report.section(Perturbed(sentences()[:2], facts), sentences()[:2], *only)
    assert result["wrong"] == {"n": 0}
    assert result["against_queries"] == []


def test_the_curve_against_queries_ends_where_the_search_did():
    curve = section()["against_queries"]
    assert [point["queries"] for point in curve] == [1, 2, 3, 5]
    assert [point["depth"] for point in curve] == [(3 + 1 + 2 + 2) / 4, (3 + 1 + 3 + 2) / 4, 2.5, 2.5]
    assert [point["queries_mean"] for point in curve] == [1, 1.75, 2.25, 3]
    assert curve[-1]["gain_lost"] == metrics.gain_lost(3 / 1.5, 3 / 2.5)


def test_clean_has_no_section():
    assert attack_report.section(Perturbed(sentences()), sentences(), BEFORE, AFTER) == {}


def test_examples_are_the_most_slowed_with_their_words():
    clean = [TextSample(n, 0, (f"a fine day number {'abcd'[n]}",)) for n in range(4)]
    found = [TextSample(n, 0, (f"a grim day number {'abcd'[n]}",)) for n in range(4)]
    shown = attack_report.section(Perturbed(found, FACTS, trails=TRAILS), clean, BEFORE, AFTER)["examples"]
    assert [one["index"] for one in shown] == [0, 1, 2]  # the last one was left as it was
    assert shown[0]["changed"] == [{"text": 0, "start": 2, "end": 6, "old": "fine"}]
    assert shown[0]["texts_after"][0][2:6] == "grim"
    assert (shown[0]["exit_before"], shown[0]["exit_after"]) == (1, 3)


def test_pictures_are_kept_to_eight_bits_and_large_ones_left_out():
    samples = pictures(4)
    shown = attack_report.section(Perturbed(samples, FACTS), samples, BEFORE, AFTER)["examples"]
    read = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown[0]["png_after"])))) / 255
    assert np.abs(read - samples[0].pixels[0].numpy()).max() <= 0.5 / 255 + 1e-6
    colour = torch.rand(3, 6, 5)
    assert np.asarray(Image.open(io.BytesIO(base64.b64decode(png(colour))))).shape == (6, 5, 3)
    large = [ImageSample(n, 0, torch.zeros(1, 65, 65)) for n in range(4)]
    assert attack_report.section(Perturbed(large, FACTS), large, BEFORE, AFTER)["examples"] == []


def test_intervals_and_the_columns_they_come_from():
    result = section()
    columns = result["per_sample"]
    assert columns["index"] == [0, 1, 2, 3]
    assert (columns["depth_before"], columns["depth_after"]) == ([1, 1, 2, 2], [3, 2, 3, 2])
    assert (columns["macs_before"], columns["macs_full_after"]) == ([1, 1, 3, 3], [4, 4, 4, 4])
    assert columns["queries"] == [1, 4, 2, 5]
    for name in ("gain_lost", "gain_lost_layers", "gain_lost_macs", "queries_mean"):
        assert result[f"{name}_lo"] < result[name] < result[f"{name}_hi"], name
    lo, hi = attack_intervals.gain_lost(columns["depth_before"], columns["depth_after"], 3) or (0, 0)
    assert (result["gain_lost_lo"], result["gain_lost_hi"]) == (lo, hi)


def test_a_rule_that_never_exits_has_nothing_to_lose_and_no_interval():
    full = side([3, 3], [0, 1], [0, 1], [0, 1])
    facts = {name: column[:2] for name, column in FACTS.items()}
    result = attack_report.section(Perturbed(sentences()[:2], facts), sentences()[:2], full, full)
    assert result["gain_lost"] is None
    assert "gain_lost_lo" not in result
    assert "queries_mean_lo" in result
