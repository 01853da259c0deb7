"""The board's pictures as Vega-Lite specifications, made by Altair; the page puts in the rows it has chosen.

Each specification draws the named data set `rows`. Colours are Okabe and Ito's, which all eyes can tell apart, and a
mark's shape repeats what its colour says.
"""

from __future__ import annotations

import altair as alt

from benchmark.records.schema import Section

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C6D31", "#666666"]
SCALE = alt.Scale(range=COLOURS)
Spec = Section


def specifications() -> dict[str, Spec]:
    """Picture -> its specification, without data."""
    pictures = {
        "score_cost": score_against("gmacs_mean", "GMACs per sample", log=True),
        "score_time": score_against("latency_ms_p50", "Median milliseconds", log=True),
        "promise": promise(),
        "queries": gain_lost_by_queries(),
        "histogram": exit_histogram(),
        "curve": cost_curve(),
        "reliability": reliability(),
        "timings": timing_strip(),
    }
    # A layered chart takes it at its top only.
    fit = {"autosize": {"type": "fit-x", "contains": "padding"}}
    return {name: chart.to_dict(validate=True) | fit for name, chart in pictures.items()}


def _base(description: str, height: int | alt.Step = 300) -> alt.Chart:
    return alt.Chart(alt.NamedData(name="rows"), width="container", height=height, description=description)


def _names(*columns: str) -> list[str]:
    return [f"{column}:N" for column in columns]


def score_against(column: str, title: str, log: bool) -> alt.Chart | alt.LayerChart | alt.FacetChart:
    """Score against a cost; a click on a mark opens its record."""
    scale = alt.Scale(type="log", nice=False, padding=14) if log else alt.Scale(zero=False)
    return (
        _base(f"Score against {title}, one mark for each record")
        .mark_point(filled=True, size=70)
        .encode(
            x=alt.X(f"{column}:Q", title=title, scale=scale),
            y=alt.Y("score:Q", title="Score", scale=alt.Scale(zero=False)),
            color=alt.Color("model:N", title="Model", scale=SCALE),
            shape=alt.Shape("workload:N", title="Workload"),
            opacity=alt.condition("datum.status == 'ok'", alt.value(0.95), alt.value(0.3)),
            href="href:N",
            tooltip=[
                "model:N",
                "dataset:N",
                "workload:N",
                "policy:N",
                "hardware:N",
                "score:Q",
                f"{column}:Q",
                "status:N",
            ],
        )
    )


def promise() -> alt.LayerChart | alt.FacetChart:
    """Speed-up in MACs, on the clock and under attack: three marks on one line for each model."""
    text = "Speed-up promised in MACs, measured on the clock, and left under attack"
    line = _base(text, alt.Step(24)).encode(y=alt.Y("label:N", title=None, sort=None, axis=alt.Axis(labelLimit=260)))
    span = line.mark_rule(color="#9a9a9a").encode(x="min(speedup):Q", x2="max(speedup):Q")
    marks = line.mark_point(filled=True, size=90, opacity=1).encode(
        x=alt.X("speedup:Q", title="Speed-up over full depth", scale=alt.Scale(zero=False)),
        color=alt.Color("kind:N", title=None, scale=SCALE, sort=None, legend=alt.Legend(orient="top")),
        shape=alt.Shape("kind:N", title=None, sort=None, legend=None),  # beside that of colours it would not fit
        href="href:N",
        tooltip=["label:N", "kind:N", "speedup:Q", "interval:N"],
    )
    whiskers = line.mark_rule(strokeWidth=2).encode(
        x="low:Q",
        x2="high:Q",
        color=alt.Color("kind:N", scale=SCALE, sort=None, legend=None),
    )
    one = alt.Chart().mark_rule(strokeDash=[4, 4], color="#9a9a9a").encode(x=alt.datum(1))
    return alt.layer(one, span, whiskers, marks).resolve_legend(color="independent")


def gain_lost_by_queries() -> alt.Chart:
    """Share of the layer gain lost against the queries that an attack has spent."""
    return (
        _base("Gain lost against queries, one line for each attacked record")
        .mark_line(point=True)
        .encode(
            x=alt.X("queries:Q", title="Queries per sample", scale=alt.Scale(type="log")),
            y=alt.Y("gain_lost:Q", title="Gain lost", axis=alt.Axis(format="%")),
            color=alt.Color("workload:N", title="Attack", scale=SCALE),
            detail="record_id:N",
            strokeDash=alt.StrokeDash("model:N", title="Model"),
            tooltip=["model:N", "policy:N", "workload:N", "queries:Q", "gain_lost:Q"],
        )
    )


def exit_histogram() -> alt.Chart:
    """Share of samples at each exit, clean beside attacked."""
    return (
        _base("Share of samples that leave at each exit", 220)
        .mark_bar()
        .encode(
            x=alt.X("exit_depth:O", title="Exit", axis=alt.Axis(labelAngle=0)),
            xOffset="workload:N",
            y=alt.Y("share:Q", title="Samples", axis=alt.Axis(format="%")),
            color=alt.Color("workload:N", title=None, scale=SCALE, legend=alt.Legend(orient="top")),
            tooltip=["workload:N", "exit_depth:N", alt.Tooltip("share:Q", format=".1%")],
        )
    )


def cost_curve() -> alt.LayerChart | alt.FacetChart:
    """Accuracy against mean GMACs over all thresholds, with the operating point and each exit taken alone."""
    base = _base("Accuracy against mean GMACs over all thresholds", 220)
    x = alt.X("gmacs:Q", title="GMACs per sample", scale=alt.Scale(zero=False))
    y = alt.Y("accuracy:Q", title="Accuracy", scale=alt.Scale(zero=False))
    line = base.transform_filter("datum.kind == 'curve'").mark_line(color=COLOURS[0]).encode(x=x, y=y)
    points = (
        base.transform_filter("datum.kind != 'curve'")
        .mark_point(filled=True, size=80)
        .encode(
            x=x,
            y=y,
            shape=alt.Shape("kind:N", title=None, legend=alt.Legend(orient="top")),
            color=alt.Color("kind:N", scale=alt.Scale(range=COLOURS[1:]), title=None, legend=alt.Legend(orient="top")),
            tooltip=["kind:N", "gmacs:Q", "accuracy:Q"],
        )
    )
    return alt.layer(line, points)


def reliability() -> alt.LayerChart | alt.FacetChart:
    """Accuracy against confidence at each exit; on the diagonal a confidence means what it says."""
    base = _base("Accuracy against confidence at each exit", 220)
    marks = base.mark_line(point=True).encode(
        x=alt.X("confidence:Q", title="Confidence", scale=alt.Scale(domain=[0, 1])),
        y=alt.Y("accuracy:Q", title="Accuracy", scale=alt.Scale(domain=[0, 1])),
        color=alt.Color("exit_depth:O", title="Exit", scale=alt.Scale(scheme="blues")),
        tooltip=["exit_depth:N", "confidence:Q", "accuracy:Q", "count:Q"],
    )
    diagonal = (
        alt.Chart(alt.InlineData(values=[{"at": 0}, {"at": 1}]))
        .mark_line(strokeDash=[4, 4], color="#9a9a9a")
        .encode(x="at:Q", y="at:Q")
    )
    return alt.layer(diagonal, marks)


def timing_strip() -> alt.Chart:
    """Raw milliseconds of the stopwatch's rounds: full depth, early exit, and the canary."""
    return (
        _base("Raw milliseconds of full depth, early exit and canary", 160)
        .mark_tick(thickness=1.5, opacity=0.6)
        .encode(
            x=alt.X("milliseconds:Q", title="Wall milliseconds", scale=alt.Scale(zero=False)),
            y=alt.Y("what:N", title=None, sort=["full depth", "canary", "early exit"]),
            color=alt.Color("what:N", scale=SCALE, legend=None),
            tooltip=["what:N", "round:Q", "process:Q", "milliseconds:Q"],
        )
    )
