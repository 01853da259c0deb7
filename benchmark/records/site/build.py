"""Records in, a folder with the whole site out: pages, data and the libraries that they use."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from benchmark import __version__
from benchmark.records import column_meanings
from benchmark.records import record as record_files
from benchmark.records.frame import frame
from benchmark.records.gather import no_collecting
from benchmark.records.schema import Section
from benchmark.records.site import board_rows, charts, method, record_pages, vendored
from benchmark.types import ExitbenchError
from benchmark.utils.files import new_folder

Row = dict[str, board_rows.Cell]
Track = Callable[[Sequence[Path]], Iterable[Path]]

PACK = 24  # records in one packed file
MARKER = "exitbench-site.json"  # in a folder that this made, and may therefore make again
PAGES = (("index.html", "Leaderboard"), ("pictures.html", "Pictures"), ("method.html", "Method"))
FACET_TITLES = {
    "modality": "Modality",
    "dataset": "Dataset",
    "workload": "Workload",
    "policy": "Exit rule",
    "scenario": "Scenario",
    "machine": "Machine",
}
TITLES = {
    "policy": "rule",
    "accuracy_full": "full depth",
    "gmacs_mean": "GMACs",
    "gmacs_full": "GMACs full",
    "mac_speedup": "MAC ×",
    "speedup": "time ×",
    "mean_exit_depth": "mean exit",
    "latency_ms_p50": "p50 ms",
    "latency_ms_p90": "p90 ms",
    "latency_ms_p99": "p99 ms",
    "full_ms_p50": "full p50 ms",
    "gain_lost": "gain lost",
    "gain_lost_macs": "MAC gain lost",
}
PICTURES = (
    ("promise", "Promised, measured, attacked",
     "For each model: the speed-up that MACs promise, the one the clock gives, and what SAME leaves of it."),
    ("score_cost", "Score against MACs", "Every record of the data set. Pale marks are unreliable."),
    ("score_time", "Score against milliseconds", "The same on one machine's clock, at batch 1 or in batches."),
    ("queries", "Gain lost against queries", "What an attack takes of the layer speed-up after so many forwards."),
)  # fmt: skip


@dataclass(frozen=True)
class Built:
    """What was made: records shown, files, bytes, and records left out with the reason."""

    records: int
    files: int
    size: int
    problems: list[str]


def build(folders: Sequence[Path], out: Path, track: Track = lambda items: items) -> Built:
    """Write the site made from the records of some folders into `out`, replacing a site that was there.

    Raises:
        ExitbenchError: no record, a folder that is not a site, or an extra that is not installed.
    """
    with no_collecting():
        records, problems = record_files.read_all(folders, lean=True)
        table = frame(records)
    if not len(table):
        raise ExitbenchError(f"site: expected records in {', '.join(map(str, folders))}, got none")
    scripts, text = vendored.scripts(), column_meanings.source()
    rows = board_rows.board_rows(table)
    with new_folder(out, MARKER, "an earlier site") as building:
        _write_pages(building, text, rows)
        for name, content in scripts.items():
            _write(building / "assets" / name, content)
        for file in (resources.files("benchmark.records.site") / "static").iterdir():
            _write(building / "assets" / file.name, file.read_text(encoding="utf-8"))
        queries = _write_records(building / "data" / "records", folders, rows, track)
        _write_data(building / "data", text, rows, queries)
        _write(building / MARKER, json.dumps({"exitbench": __version__, "records": len(rows)}))
    files = [file for file in out.rglob("*") if file.is_file()]
    return Built(len(rows), len(files), sum(file.stat().st_size for file in files), problems)


def _write_pages(folder: Path, text: str, rows: Sequence[Row]) -> None:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    pages = Environment(loader=PackageLoader("benchmark.records.site"), autoescape=True, undefined=StrictUndefined)
    machines = len({row["machine"] for row in rows})
    shared = {"pages": PAGES, "about": {"records": len(rows), "machines": machines, "version": __version__}}
    own: dict[str, Section] = {
        "index.html": {
            "facets": FACET_TITLES.items(),
            "groups": [name for name in board_rows.GROUPS if name != "what"],
        },
        "pictures.html": {"pictures": PICTURES},
        "record.html": {},
        "method.html": {"body": Markup(method.html(text))},  # our own page, not a record's
    }
    for name, values in own.items():
        _write(folder / name, pages.get_template(name).render(**shared, here=name, **values))


def _write_data(folder: Path, text: str, rows: Sequence[Row], queries: Sequence[Section]) -> None:
    present = {name for row in rows for name, value in row.items() if value is not None}
    groups = {group: [name for name in names if name in present] for group, names in board_rows.GROUPS.items()}
    named = [name for names in groups.values() for name in names]
    numbers = [name for name in named if any(isinstance(row.get(name), int | float) for row in rows)]
    board = {
        "groups": groups, "uncertain": board_rows.UNCERTAIN, "numbers": numbers, "titles": TITLES,
        "values": board_rows.facets(list(rows)), "meanings": column_meanings.meanings(text),
    }  # fmt: skip
    _write(folder / "rows.js", f"const BOARD = {_script(board)};\nconst ROWS = {_script(rows)};\n")
    _write(
        folder / "charts.js",
        f"const CHARTS = {_script(charts.specifications())};\nconst QUERIES = {_script(queries)};\n",
    )


def _write_records(folder: Path, sources: Sequence[Path], rows: Sequence[Row], track: Track) -> list[Section]:
    """The documents of all rows, packed some to a file; returns the points of all curves of gain lost against queries.

    Each row learns the file that it is in. Records of one sweep share most of their words, so that together they pack
    to half of what they take alone.
    """
    queries: list[Section] = []
    files = {file.stem: file for source in sources for file in sorted(source.rglob("*.json"))}
    paths = [files[str(row["record_id"])] for row in rows]
    together: dict[str, Section] = {}
    for position, (row, file) in enumerate(zip(rows, track(paths), strict=True)):
        data = record_pages.page_data(record_files.read(file))
        queries += [
            {"record_id": row["record_id"], "queries": point["queries"], "gain_lost": point["gain_lost"]}
            for point in data["queries"]
            if point.get("gain_lost") is not None
        ]
        row["pack"] = position // PACK
        together[str(row["record_id"])] = data
        if len(together) == PACK or position == len(rows) - 1:
            packed = base64.b64encode(zlib.compress(json.dumps(together, separators=(",", ":")).encode(), 9)).decode()
            _write(folder / f"{row['pack']}.js", f'PACKED[{row["pack"]}] = "{packed}";\n')
            together = {}
    return queries


def _script(value: object) -> str:
    """JSON that may stand inside a script: no text of a record can end it."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
