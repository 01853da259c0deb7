"""The board in a real browser: it loads alone, filters and sorts rightly, and rows open their pages."""

import pytest
from browser import address, opened
from make_records import make_record, make_sweep

from benchmark.cli.main import main
from benchmark.records import record as record_files
from benchmark.records.frame import frame
from benchmark.records.site.board_rows import board_rows

RECORDS = [*make_sweep(), make_record(status="unreliable", seed=5, workload="clean", hardware="cpu_2t")]
ROWS = board_rows(frame(RECORDS))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    pytest.importorskip("vl_convert", reason="needs the extra [site]")
    folder = tmp_path_factory.mktemp("board")
    for made in RECORDS:
        record_files.write(made, folder / "records")
    assert main(["site", "--records", str(folder / "records"), "--out", str(folder / "out")]) == 0
    return folder / "out"


def column(page, name):
    """The cells of a column as shown, top to bottom."""
    heads = [text.strip() for text in page.locator("#board thead th").all_inner_texts()]
    return page.locator(f"#board tbody tr td:nth-child({heads.index(name) + 1})").all_inner_texts()


@pytest.mark.parametrize("name", ["index.html", "pictures.html", "method.html"])
@pytest.mark.parametrize(("width", "dark"), [(1400, False), (800, True), (390, False)])
def test_pages_load_without_errors_or_foreign_requests(out, name, width, dark):
    with opened(width, dark=dark) as (page, seen):
        page.goto(address(out / name))
        page.wait_for_timeout(300)
        assert page.locator("h1").count() >= 1
        # A page never scrolls sideways; its table does by itself.
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        if name == "pictures.html":
            page.wait_for_selector("#score_cost svg")
    assert seen.errors == []
    assert seen.foreign == []


def test_filters_keep_what_they_say_and_the_address_remembers(out):
    with opened() as (page, _):
        page.goto(address(out / "index.html"))
        assert len(column(page, "model")) == len(ROWS)
        page.select_option("select[name=workload]", "same")
        assert set(column(page, "workload")) == {"same"}
        assert len(column(page, "workload")) == sum(row["workload"] == "same" for row in ROWS)
        page.check("input[name=doubtful]")
        link = page.url
    with opened() as (page, _):
        page.goto(link)
        assert set(column(page, "workload")) == {"same"}
        assert page.locator("select[name=workload]").input_value() == "same"
        assert f"of {len(ROWS)} records" in page.locator("#count").inner_text()
        page.click("button[type=reset]")
        page.wait_for_timeout(100)
        assert len(column(page, "model")) == len(ROWS)


def test_numbers_are_sorted_as_numbers_and_absent_ones_come_last(out):
    with opened() as (page, _):
        page.goto(address(out / "index.html"))
        head = page.locator("#board thead th", has_text="gain lost").first
        head.click()
        head.click()
        shown = [cell.split("%")[0] for cell in column(page, "gain lost")]
        values = [float(cell) for cell in shown if cell != "–"]
        assert values == sorted(values, reverse=True)
        assert shown[len(values) :] == ["–"] * (len(shown) - len(values))
        assert 0 < len(values) < len(shown)


def test_groups_of_columns_are_switched_and_doubtful_rows_are_grey(out):
    with opened() as (page, _):
        page.goto(address(out / "index.html"))
        heads = page.locator("#board thead th").all_inner_texts()
        assert "p50 ms" not in [head.strip() for head in heads]
        page.check("fieldset.groups input[value=clock]")
        assert "p50 ms" in [head.strip() for head in page.locator("#board thead th").all_inner_texts()]
        assert page.locator("#board tbody tr.doubtful").count() == sum(row["status"] != "ok" for row in ROWS)


def test_a_row_opens_its_record_with_everything_on_it(out):
    attacked = next(row for row in ROWS if row["workload"] == "same" and row["twin_id"])
    with opened() as (page, seen):
        page.goto(address(out / "index.html", f"#workload=same&q={attacked['model']}"))
        page.locator("#board tbody a").first.click()
        page.wait_for_selector("#histogram svg")
        assert attacked["model"] in page.locator("#title").inner_text()
        assert page.locator("#command").inner_text().startswith("exitbench run model=")
        for name in ("histogram", "curve", "reliability", "timings"):
            page.wait_for_selector(f"#{name} svg")
        assert page.locator("#examples .example").count() >= 1
        page.goto(address(out / "record.html", "?id=0123456789abcdef"))
        page.wait_for_function("document.getElementById('title').textContent === 'No such record'")
        assert seen.foreign == []


def test_the_watch_sees_a_foreign_request_and_a_broken_script(tmp_path):
    page_file = tmp_path / "page.html"
    page_file.write_text('<img src="http://127.0.0.1:9/x.png"><script>nothing_defined();</script>')
    with opened() as (page, seen):
        page.goto(address(page_file))
        page.wait_for_timeout(200)
    assert seen.foreign == ["http://127.0.0.1:9/x.png"]
    assert any("nothing_defined" in error for error in seen.errors)
