"""Finds what covers what in a drawn figure: texts on texts, legends on data, texts cut by the figure's edge."""

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

SLACK = 1.0  # pixels at the figure's own resolution: boxes are a little larger than letters


def overlaps(figure):
    """One line for each pair of texts that overlap, each legend over an axis, each text that is cut."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    hidden = {id(label) for axis in figure.axes for label in _not_drawn(axis)}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    boxes = [(text, text.get_window_extent(renderer)) for text in texts if id(text) not in hidden]
    boxes = [(text, box) for text, box in boxes if box.width and box.height]
    found = [
        f"{one.get_text()!r} over {other.get_text()!r}"
        for (one, here), (other, there) in combinations(boxes, 2)
        if min(here.x1, there.x1) - max(here.x0, there.x0) > SLACK
        and min(here.y1, there.y1) - max(here.y0, there.y0) > SLACK
    ]
    found += [
        f"{text.get_text()!r} cut"
        for text, box in boxes
        if box.x0 < -SLACK or box.y0 < -SLACK or box.x1 > figure.bbox.x1 + SLACK or box.y1 > figure.bbox.y1 + SLACK
    ]
    legends = [*figure.legends, *(axis.get_legend() for axis in figure.axes if axis.get_legend())]
    for legend in legends:
        box = legend.get_window_extent(renderer)
        found += [f"legend over {axis.get_title()!r}" for axis in figure.axes
                  if box.overlaps(axis.get_window_extent(renderer))]  # fmt: skip
        if box.x1 > figure.bbox.x1 + SLACK or box.x0 < -SLACK:
            found.append("legend cut")
    return found


def _not_drawn(axes):
    """Tick labels outside of an axis' limits: they are there, and nobody sees them."""
    for axis in (axes.xaxis, axes.yaxis):
        drawn = {id(tick) for tick in axis._update_ticks()}
        for tick in axis.majorTicks + axis.minorTicks:
            if id(tick) not in drawn or not axes.axison:
                yield from (tick.label1, tick.label2)
