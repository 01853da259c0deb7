"""No figure hides anything, from the smallest frame to eight attacks on eight models, nor from committed records."""

from dataclasses import replace

import pytest
from make_records import make_record, make_sweep
from matplotlib.figure import Figure

from benchmark.records import leaderboard, record
from benchmark.utils.project_root import project_root
from plots import style
from plots.all import FIGURES

from overlaps import overlaps  # isort: skip

ATTACKS = ("same", "same_tuned", "same_characters", "uniform", "deepsloth", "random", "constrained", "accuracy_all")


def wide():
    """Eight models and rules, each under eight attacks, at two budgets."""
    models = [("dvt_fashion", name, "confidence") for name in ("dvt_fashion", "dvt_cifar10")]
    models += [("minilm_exits", name, rule) for name in ("minilm_exits", "minilm_sst2_two_stage", "minilm_rte")
               for rule in ("entropy", "patience")]  # fmt: skip
    made = []
    for kind, model, rule in models:
        for workload in ("clean", *ATTACKS):
            for budget in (1, 4) if workload != "clean" else (0,):
                one = make_record(kind, workload, policy=rule)
                search = {"epsilon": budget / 255, "norm": "linf"} if "dvt" in kind else {"least": budget, "share": 0}
                attack = {**one.attack, "settings": {"search": search}} if one.attack else {}
                choices = {**one.choices, "model": model}
                made.append(replace(one, choices=choices, attack=attack, record_id=f"{len(made):016x}"))
    return leaderboard.frame(made)


def committed(name):
    folder = project_root() / "results" / name / "records"
    return leaderboard.frame(record.read_all([folder])[0]) if folder.is_dir() else leaderboard.frame([])


FRAMES = {"wide": wide, "sweep": lambda: leaderboard.frame(make_sweep())}
FRAMES |= {name: lambda name=name: committed(name) for name in ("demo", "dvt", "exit_rules", "reference")}


@pytest.fixture(scope="module", params=FRAMES)
def frame(request):
    return FRAMES[request.param]()


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_covers_anything(name, frame):
    try:
        figure = FIGURES[name](frame)
    except style.NothingToDraw:
        return
    assert overlaps(figure) == []
    assert figure.get_figheight() * 25.4 < 330


def test_the_finder_sees_what_overlaps():
    figure = Figure(figsize=(3, 2), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], label="line")
    sound = overlaps(figure)
    figure.set_layout_engine("none")
    axis.text(0.5, 0.5, "one")
    axis.text(0.5, 0.5, "another")
    figure.text(0.95, 0.5, "beyond the edge")
    axis.legend(loc="center")
    found = " ".join(overlaps(figure))
    assert sound == []
    assert "'one' over 'another'" in found
    assert "'beyond the edge' cut" in found
    assert "legend over" in found
    axis.set_xticks([0.5, 0.51], ["ticks too", "close by"])
    assert "'ticks too' over 'close by'" in " ".join(overlaps(figure))
