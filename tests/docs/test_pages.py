"""What pages say beside commands: columns, links, Python."""

import re

import pytest
from page_commands import ROOT

from benchmark.data.sources.assets import ASSETS, asset_entry
from benchmark.records.columns import CSV_COLUMNS
from benchmark.utils.cache import MANIFEST, cache_dir

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def described(page: str) -> list[str]:
    """The columns in the first cells of a page's tables, in order."""
    cells = re.findall(r"^\| (`[^|]+`) \|", page, re.M)
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_every_column_is_described_and_nothing_else():
    page = (ROOT / "docs" / "measure.md").read_text(encoding="utf-8")
    assert sorted(described(page)) == sorted(CSV_COLUMNS)
    assert described(page.replace("| `canary` |", "| `canarie` |")) != described(page)
    assert len(described(page + "| `made_up` | x |\n")) == len(CSV_COLUMNS) + 1


def dead_links(page: str, folder) -> list[str]:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page)
    return [target for target in targets if not (folder / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    assert dead_links(page.read_text(encoding="utf-8"), page.parent) == []
    assert dead_links("[x](no_such_page.md)", page.parent) == ["no_such_page.md"]


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert set(re.findall(r"\]\((\w+\.md)\)", index)) == pages


def test_the_python_examples_run_one_after_the_other(warm):
    for asset in ASSETS.values():
        if not (cache_dir() / asset_entry(asset) / MANIFEST).is_file():
            pytest.skip(f"{asset.name} is not in the cache; make demo fetches it")
    blocks = re.findall(r"```python\n(.+?)```", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 3
    assert "limit=60" in blocks[0]
    blocks[0] = blocks[0].replace("limit=60", "limit=12")  # of which the stopwatch times each at least twice
    answer = warm.call("-c", "\n".join(blocks), EXITBENCH_CACHE=str(cache_dir()))
    assert answer.returncode == 0, answer.stderr
    assert re.match(r"mean exit \d\.\d\d of 6, measured \d\.\d\d times faster\n", answer.stdout), answer.stdout
    assert [line.split()[0] for line in answer.stdout.splitlines()[-4:]] == [
        "confidence", "confidence", "entropy", "patience"]  # fmt: skip
