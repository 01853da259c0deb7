"""Every figure is drawn from small frames, holds what it should, and hides nothing behind its legend."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from make_records import make_failed, make_record, make_sweep
from matplotlib.backends.backend_agg import FigureCanvasAgg

from benchmark.records import leaderboard, record
from benchmark.types import ExitbenchError
from plots import reliability, style
from plots.all import FIGURES, draw_all, draw_frame

PLOTS = Path(style.__file__).parent

FRAMES = {
    "sweep": lambda: [*make_sweep(), make_failed(hardware="cuda"), make_record(hardware="cpu_4t", status="unreliable")],
    "single": lambda: [make_record()],
    "attacked only": lambda: [make_record(workload="same", status="unreliable")],
    "bare": lambda: [make_record(curve=[])],
    "many": lambda: [make_record(m, p, h, policy=f"rule{i}") for m in ("dvt_fashion", "minilm_exits")
                     for p in ("clean", "same", "random") for h in ("cpu_1t", "cuda") for i in range(9)],
}  # fmt: skip


CLEAN_ONLY = ("accuracy_gmacs", "budget_curve", "easy_hard", "reliability")
ATTACKED_ONLY = ("attack_examples", "gain_lost_bars", "gain_lost_budget")


def drawn(figure):
    """What measures a figure that is laid out, pixels aside."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    return renderer


@pytest.mark.parametrize("paper", [False, True])
@pytest.mark.parametrize("records", FRAMES)
@pytest.mark.parametrize("name", FIGURES)
def test_figures_fit_a_column_with_units_and_free_legends(name, records, paper):
    if (name in CLEAN_ONLY and records == "attacked only") or (name in ATTACKED_ONLY and records in ("single", "bare")):
        with pytest.raises(style.NothingToDraw):
            FIGURES[name](leaderboard.frame(FRAMES[records]()), paper=paper)
        return
    figure = FIGURES[name](leaderboard.frame(FRAMES[records]()), paper=paper)
    renderer = drawn(figure)
    assert figure.get_figwidth() * 25.4 == pytest.approx(84)
    for axis in figure.axes:
        assert not figure.legends[0].get_window_extent(renderer).overlaps(axis.get_window_extent(renderer))
        assert axis.get_ylabel() or axis.get_yticklabels()
    assert "(" in figure.axes[-1].get_xlabel()
    texts = [text for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize")) if text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= 7
    for text in (text for text in texts if text.get_visible() and text.axes):
        left, right = text.get_window_extent(renderer).intervalx
        assert left >= -1
        assert right <= figure.bbox.width + 1


def colours_of(figure):
    return {line.get_color() for axis in figure.axes for line in axis.get_lines()}


def test_unreliable_rows_are_grey_where_the_clock_speaks():
    for name in ("latency_accuracy", "realized"):
        draw = FIGURES[name]
        assert style.GREY not in colours_of(draw(leaderboard.frame([make_record()])))
        assert style.GREY in colours_of(draw(leaderboard.frame([make_record(status="unreliable")])))


def test_a_doubtful_clock_greys_nothing_that_it_does_not_move():
    for name, changed in (("accuracy_gmacs", {}), ("exit_rules", {}), ("gain_lost_bars", {"workload": "same"})):
        frames = [leaderboard.frame([make_record(status=status, **changed)]) for status in ("ok", "unreliable")]
        sound, doubtful = (FIGURES[name](frame) for frame in frames)
        assert colours_of(sound) == colours_of(doubtful)
        assert [bar.get_alpha() for bar in sound.axes[0].patches] == [
            bar.get_alpha() for bar in doubtful.axes[0].patches
        ]


def test_batches_are_drawn_from_small_to_large():
    single = make_record()
    offline = [
        replace(
            single,
            record_id=f"offline{size}",
            choices={**single.choices, "scenario": "offline"},
            latency={**single.latency, "scenario": "offline", "batch": size},
        )
        for size in (128, 8, 32)
    ]
    (axis,) = FIGURES["realized"](leaderboard.frame([*offline, single])).axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert [label.rpartition(" ")[2] for label in labels[1:]] == ["8", "32", "128"]
    assert "batches" not in labels[0]


def test_histogram_bars_are_shares():
    figure = FIGURES["exit_histogram"](leaderboard.frame(make_sweep()))
    for axis in figure.axes:
        bars = [sum(bar.get_height() for bar in group) for group in axis.containers]
        assert bars == pytest.approx([1, 1])


def test_a_figure_without_its_rows_is_skipped_with_a_reason(tmp_path):
    messages = []
    frame = leaderboard.frame([make_record(latency={})])
    paths = draw_frame(frame, tmp_path, report=messages.append)
    assert [path.name for path in paths] == [
        f"{name}.{kind}"
        for name in ("accuracy_gmacs", "budget_curve", "easy_hard", "exit_histogram", "exit_rules", "reliability")
        for kind in ("png", "pdf", "md")
    ]
    assert messages == [
        *(f"{name} skipped: needs rows of attacks with gain_lost" for name in ATTACKED_ONLY),
        "latency_accuracy skipped: needs rows with latency_ms_p50 and accuracy",
        "realized skipped: needs rows with speedup and mac_speedup",
    ]
    assert draw_frame(leaderboard.frame([make_failed()]), tmp_path, report=messages.append) == []
    assert draw_frame(leaderboard.frame([]), tmp_path, report=messages.append) == []


PAIR = (make_record(), make_record(workload="same"))


@pytest.fixture(scope="module")
def all_drawn(tmp_path_factory):
    """A folder of records, what drawing all of it wrote, and what it told."""
    folder, messages = tmp_path_factory.mktemp("drawn") / "records", []
    for each in PAIR:
        record.write(each, folder)
    (folder / "foreign.json").write_text("{}")
    return folder, draw_all([folder], folder.parent / "out", report=messages.append), messages


def test_draw_all_names_records_in_the_files_and_problems_aloud(all_drawn):
    folder, paths, messages = all_drawn
    out = folder.parent / "out"
    assert len(paths) == 3 * len(FIGURES)  # PNG, PDF, caption
    assert sorted(out.iterdir()) == sorted(paths)
    assert all(PAIR[0].record_id.encode() in path.read_bytes() for path in paths if path.suffix == ".png")
    assert len(messages) == 1
    assert "foreign.json" in messages[0]
    with pytest.raises(ExitbenchError, match="where"):
        draw_all([folder], out, where="nonsense ==")


def test_files_are_the_same_when_drawn_again(all_drawn, tmp_path):
    _, paths, _ = all_drawn
    again = draw_frame(leaderboard.frame(sorted(PAIR, key=lambda one: one.record_id)), tmp_path)
    assert [path.name for path in again] == [path.name for path in paths]
    for one, other in zip(paths, again, strict=True):
        if one.suffix != ".md":  # a caption holds the command, which draw_frame does not know
            assert one.read_bytes() == other.read_bytes(), one.name


def test_a_script_draws_from_a_leaderboard_file(tmp_path):
    for one in make_sweep():
        record.write(one, tmp_path / "records")
    csv, _ = leaderboard.write(leaderboard.frame(make_sweep()), tmp_path / "leaderboard.csv")
    script = [sys.executable, str(PLOTS / "accuracy_gmacs.py"), "--out", str(tmp_path / "out"), "--leaderboard"]
    done = subprocess.run([*script, str(csv)], check=True, capture_output=True, text=True)
    assert done.stdout.split() == [str(tmp_path / "out" / f"accuracy_gmacs.{kind}") for kind in ("png", "pdf")]
    missing = subprocess.run([*script, str(tmp_path / "none.csv")], check=False, capture_output=True, text=True)
    assert missing.returncode == 2
    assert missing.stderr.count("\n") == 1


def test_every_script_is_among_all_figures():
    helpers = {"__init__", "all", "attacked", "caption", "command", "models", "style"}
    assert {path.stem for path in PLOTS.glob("*.py")} - helpers == set(FIGURES)


def test_the_oracle_is_a_dashed_bound_and_no_point_of_its_own():
    oracle = make_record(policy="oracle")
    oracle.results["bound"] = True
    rows = leaderboard.frame([make_record(), make_record(policy="entropy"), oracle])
    assert list(rows.set_index("policy")["rank"].notna()) == [True, True, False]
    for name in ("accuracy_gmacs", "exit_rules"):
        (with_bound,), (without,) = (FIGURES[name](frame).axes for frame in (rows, rows[rows["policy"] != "oracle"]))
        dashed = [line for line in with_bound.get_lines() if line.get_linestyle() == "--"]
        assert len(dashed) == 1
        points = [[line for line in axis.get_lines() if len(line.get_xdata()) == 1] for axis in (with_bound, without)]
        assert len(points[0]) == len(points[1]) >= 2


def test_a_model_keeps_its_colour_whoever_stands_beside_it():
    for name in ("dvt_fashion", "minilm_exits", "a_model_of_mine"):
        one = make_record()
        one = replace(one, choices={**one.choices, "model": name})
        (axis,) = FIGURES["accuracy_gmacs"](leaderboard.frame([one])).axes
        beside = FIGURES["accuracy_gmacs"](leaderboard.frame([*make_sweep(), one]))
        colours = [{text.get_text().split()[-1]: text.get_color() for text in shown.texts} for shown in beside.axes]
        (text,) = axis.texts
        assert any(names.get(name) == text.get_color() for names in colours)


def test_the_budget_figure_shows_a_static_twin():
    base = make_record()
    twin = make_record(choices={**base.choices, "model": "dvt_fashion_static"}, record_id="f" * 16)
    figure = FIGURES["budget_curve"](leaderboard.frame([base, twin]))
    assert "static twin" in [text.get_text() for text in figure.legends[0].get_texts()]
    lines = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 59]
    assert len(lines) == 4
    assert len({line.get_linestyle() for line in lines}) == 4


def test_the_picture_figure_has_a_row_for_each_exit():
    figure = FIGURES["easy_hard"](leaderboard.frame(make_sweep()))
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["exit 1, easy", "exit 2", "exit 3, hard"]
    assert len(axis.get_images()) == 5


def test_records_of_before_the_protocol_draw_what_they_can(tmp_path):
    one = make_record(examples=[])
    del one.results["protocol"]
    messages = []
    draw_frame(leaderboard.frame([one]), tmp_path, report=messages.append)
    without = (name for name in (*CLEAN_ONLY, *ATTACKED_ONLY) if name not in ("accuracy_gmacs", "reliability"))
    assert [line.split()[0] for line in messages] == sorted(without)


def same_at(size, taken, workload="same"):
    """An attack on texts with so many words that took so much."""
    one = make_record("minilm_exits", workload, seed=size)
    one.attack["settings"]["search"] = {"least": size, "share": 0.0}
    return replace(one, attack={**one.attack, "gain_lost": taken})


def test_bars_are_the_widest_attack_s_and_curves_hold_every_budget():
    records = [same_at(1, 0.3), same_at(3, 0.7), same_at(2, 0.5), same_at(3, 0.2, "random")]
    frame = leaderboard.frame(records)
    (axis,) = FIGURES["gain_lost_bars"](frame).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["same", "random"]
    assert [round(bar.get_width(), 6) for bar in axis.patches] == [0.7, 0.2]
    queries, words = FIGURES["gain_lost_budget"](frame).axes
    assert sorted(tuple(line.get_ydata()) for line in words.get_lines()) == [(0.2,), (0.3, 0.5, 0.7)]
    assert "Queries" in queries.get_xlabel()


def test_bars_pool_seeds_and_show_their_interval():
    def seeded(seed, taken):
        one = same_at(3, taken, "random")
        settings = {**one.attack["settings"], "seed": seed}
        section = {**one.attack, "settings": settings, "gain_lost_lo": taken - 0.1, "gain_lost_hi": taken + 0.1}
        return replace(one, attack=section, record_id=f"{seed:016x}")

    (axis,) = FIGURES["gain_lost_bars"](leaderboard.frame([seeded(0, 0.3), seeded(1, 0.5)])).axes
    assert [round(bar.get_width(), 6) for bar in axis.patches] == [0.4]
    (interval,) = (line.get_segments()[0] for line in axis.collections)
    assert interval[:, 0] == pytest.approx([0.3, 0.5])  # the mean of the ends
    records = [seeded(0, 0.3), seeded(1, 0.5), same_at(1, 0.6), same_at(2, 0.9)]
    words = FIGURES["gain_lost_budget"](leaderboard.frame(records)).axes[1]
    assert sorted(tuple(line.get_ydata()) for line in words.get_lines()) == [(0.4,), (0.6, 0.9)]
    assert len(words.collections) == 1


def test_histograms_keep_to_one_budget_and_name_it():
    records = [make_record("minilm_exits"), same_at(1, 0.3), same_at(3, 0.7)]
    records[1].results["exit_histogram"][:] = records[0].results["exit_histogram"]
    figure = FIGURES["exit_histogram"](leaderboard.frame(records))
    (axis,) = figure.axes
    assert len(axis.containers) == 2
    widest = records[2].results["exit_histogram"]
    assert [bar.get_height() for bar in axis.containers[1]] == pytest.approx([n / sum(widest) for n in widest])
    assert "attacks: 3 words" in [text.get_text() for text in figure.legends[0].get_texts()]


def of(samples, policy="confidence", workload="clean"):
    """A record of so many samples: a thousandth of them is its curve's accuracy, a hundred of them leave last."""
    one = make_record("minilm_exits", workload, policy=policy)
    curve = [{**point, "accuracy": samples / 1000} for point in one.curve]
    results = {**one.results, "exit_histogram": [samples - 100, 0, 0, 0, 0, 100]}
    return replace(one, data={**one.data, "n": samples}, results=results, curve=curve)


def test_rules_side_by_side_answered_the_same_samples():
    records = [of(128), of(900), of(900, "entropy"), of(100, "patience")]
    (axis,) = FIGURES["exit_rules"](leaderboard.frame(records)).axes
    curves = [line for line in axis.get_lines() if line.get_linestyle() == "-" and len(line.get_xdata()) > 1]
    assert len(curves) == 2
    assert {float(high) for line in curves for high in line.get_ydata()} == {0.9}


def test_clean_bars_are_of_the_samples_attacked():
    records = [of(900), of(200), of(200, workload="same")]
    (axis,) = FIGURES["exit_histogram"](leaderboard.frame(records)).axes
    assert [bar.get_height() for bar in axis.containers[0]] == pytest.approx([0.5, 0, 0, 0, 0, 0.5])


def test_panels_without_room_are_named(capsys):
    FIGURES["exit_histogram"](leaderboard.frame(FRAMES["many"]()))
    assert "exit_histogram: no room for 10 panel(s): " in capsys.readouterr().err
    FIGURES["exit_histogram"](leaderboard.frame(make_sweep()))
    assert capsys.readouterr().err == ""


def test_examples_mark_the_changed_word_and_only_that():
    (axis,) = FIGURES["attack_examples"](leaderboard.frame([make_record("minilm_exits", "same")])).axes
    bold = [text.get_text() for text in axis.texts if text.get_weight() == "bold"]
    assert bold == ["dim", "dim"]
    (axis,) = FIGURES["attack_examples"](leaderboard.frame([make_record(workload="same")])).axes
    assert len(axis.get_images()) == 6


def test_reliability_shows_the_auroc_of_confidence_whichever_rule_comes_first():
    signalled = [{**row, "auroc": 0.75} for row in make_record().exits]
    records = [make_record(policy="never"), replace(make_record(policy="confidence"), exits=signalled)]
    for order in (records, records[::-1]):
        figure = reliability.draw(leaderboard.frame(order))
        assert "AUROC 0.75" in figure.axes[0].get_title()


def test_a_caption_says_what_is_shown_from_what_and_by_which_command(tmp_path):
    for made in make_sweep():
        record.write(made, tmp_path / "records")
    paths = draw_all([tmp_path / "records"], tmp_path / "out")
    text = (tmp_path / "out" / "exit_histogram.md").read_text()
    assert tmp_path / "out" / "exit_histogram.md" in paths
    assert text.startswith("![exit_histogram](exit_histogram.png)\n\nExit histogram: the share of samples at each exit")
    assert f"Drawn from {len(make_sweep())} records" in text
    assert "Machine: a1b2c3d4" in text
    assert f"Command: `exitbench plots --records {tmp_path / 'records'} --out {tmp_path / 'out'}`" in text
    assert "python plots/" not in text


def test_a_caption_needs_no_sections_of_records(tmp_path):
    csv, _ = leaderboard.write(leaderboard.frame(make_sweep()), tmp_path / "leaderboard.csv")
    paths = draw_frame(leaderboard.read_csv(csv, []), tmp_path)
    captions = [path.read_text() for path in paths if path.suffix == ".md"]
    assert captions
    assert all("Samples per record: " in text and "Command" not in text for text in captions)
