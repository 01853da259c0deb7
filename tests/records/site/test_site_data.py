"""The board's data: rows and documents follow from records, and nothing in a record can leave its page."""

import base64
import json
import re
import shlex
import zlib

import pytest
from make_records import make_failed, make_record, make_sweep

from benchmark.cli.main import main
from benchmark.records import column_meanings
from benchmark.records import record as record_files
from benchmark.records.columns import CSV_COLUMNS
from benchmark.records.frame import frame
from benchmark.records.site import board_rows, record_pages, vendored
from benchmark.types import ExitbenchError


def test_every_row_of_the_leaderboard_is_a_row_of_the_board():
    table = frame([*make_sweep(), make_failed()])
    rows = board_rows.board_rows(table)
    assert [row["record_id"] for row in rows] == table["record_id"].tolist()
    for row, accuracy in zip(rows, table["accuracy"].tolist(), strict=True):
        assert row["accuracy"] is None if accuracy != accuracy else row["accuracy"] == pytest.approx(accuracy, rel=1e-5)
    json.dumps(rows, allow_nan=False)


def test_facets_hold_each_value_once_and_in_order():
    values = board_rows.facets(board_rows.board_rows(frame(make_sweep())))
    assert values["workload"] == ["clean", "same"]
    assert values["dataset"] == ["fashion_mnist", "movie_snippets"]
    assert set(values) == set(board_rows.FACETS)


def test_every_column_of_the_board_is_one_of_the_leaderboard_and_explained():
    meanings = column_meanings.meanings(column_meanings.source())
    columns = {name for names in board_rows.GROUPS.values() for name in names} - {"machine"}
    assert columns <= set(CSV_COLUMNS)
    assert columns <= set(meanings)
    assert "`" not in "".join(meanings.values())


def test_the_command_of_a_page_is_one_that_the_parser_takes():
    made = make_record(config={"limit": 200, "seed": 0, "timing": {"samples": 64, "time_limit_s": 8}, "policy": {
        "_target_": "benchmark.policies.confidence.Confidence", "threshold": "auto", "max_drop": 0.01}})  # fmt: skip
    program, verb, *overrides = shlex.split(record_pages.command(made))
    assert (program, verb) == ("exitbench", "run")
    words = dict(word.split("=") for word in overrides)
    assert words["model"] == "dvt_fashion"
    assert words["limit"] == "200"
    assert words["timing.samples"] == "64"
    assert words["policy.max_drop"] == "0.01"
    assert not any("_target_" in word for word in overrides)


@pytest.mark.parametrize(("length", "most"), [(0, 5), (5, 5), (6, 5), (1000, 7)])
def test_thinning_keeps_order_and_both_ends(length, most):
    kept = record_pages.thinned(list(range(length)), most)
    assert kept == sorted(set(kept))
    assert len(kept) == min(length, most)
    if length:
        assert (kept[0], kept[-1]) == (0, length - 1)


def test_a_page_holds_figures_curves_and_timings_of_its_record():
    made = make_record(workload="same")
    data = record_pages.page_data(made)
    assert sum(data["histogram"]) == made.results["accuracy"]["n"]
    assert dict(data["figures"])["mac_speedup"] == f"{made.results['mac_speedup']:.4g}"
    assert 0 < len(data["timings"]) <= record_pages.STRIP_ROUNDS
    assert data["timings"][0]["full"] == pytest.approx(made.latency["full_wall_ms"][0], rel=1e-3)
    json.dumps(data, allow_nan=False)


def test_an_untimed_and_a_failed_record_have_pages_too():
    for made in (make_record(latency={}), make_failed()):
        data = record_pages.page_data(made)
        assert data["timings"] == []
        json.dumps(data, allow_nan=False)


def test_a_module_becomes_a_script_and_another_layout_is_refused():
    assert vendored.as_classic_script("var a=1;export{a as default,b as c};", "Tool").splitlines()[1] == (
        "var a=1;window.Tool = a;"
    )
    with pytest.raises(ExitbenchError, match="one default export"):
        vendored.as_classic_script("export{a as b};", "Tool")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("vl_convert", reason="needs the extra [site]")
    folder = tmp_path_factory.mktemp("site")
    hostile = make_record(seed=9, reasons=["</script><script>alert(1)</script>"], status="unreliable")
    for made in [*make_sweep(), hostile]:
        record_files.write(made, folder / "records")
    assert main(["site", "--records", str(folder / "records"), "--out", str(folder / "out")]) == 0
    return folder


def test_the_site_names_no_other_address_and_is_small(site):
    files = [file for file in (site / "out").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 5_000_000
    own = [file for file in files if file.name not in ("vega.js", "datatables.js", "datatables.css")]
    for file in own:
        assert not re.findall(r"(?:src|href)=[\"']https?:", file.read_text(encoding="utf-8")), file
    assert "</script><script>alert" not in "".join(file.read_text(encoding="utf-8") for file in own)


def test_packed_records_unpack_to_their_documents(site):
    rows = json.loads((site / "out" / "data" / "rows.js").read_text().partition("const ROWS = ")[2].rstrip(";\n"))
    for row in rows:
        packed = re.fullmatch(r'PACKED\[(\d+)\] = "(.+)";\n', (site / f"out/data/records/{row['pack']}.js").read_text())
        assert packed
        documents = json.loads(zlib.decompress(base64.b64decode(packed[2])))
        assert documents[row["record_id"]]["record_id"] == row["record_id"]


def test_a_site_is_replaced_and_anything_else_is_left_alone(site, capsys):
    (site / "out" / "old.html").write_text("of an earlier site")
    assert main(["site", "--records", str(site / "records"), "--out", str(site / "out")]) == 0
    assert not (site / "out" / "old.html").exists()
    other = site / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("mine")
    assert main(["site", "--records", str(site / "records"), "--out", str(other)]) == 2
    assert (other / "thesis.tex").read_text() == "mine"
    assert "expected an empty folder or an earlier site" in capsys.readouterr().err
    empty = site / "none"
    empty.mkdir()
    assert main(["site", "--records", str(empty), "--out", str(site / "x")]) == 2
