"""Build the documentation as a static site: `python docs/site/build.py OUT`. Offline; a broken link is an error.

The Markdown pages of the repository are the source: they are copied as they are, and only three things are added, since
the repository's own reader has them by itself: navigation, a page for each folder of results, and an API reference made
from the docstrings.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "docs/*.md", "docs/figures/**/*.png",
         "docs/examples/**/*.*", "results/**/*.md", "results/**/*.csv", "results/**/*.png",
         "benchmark/weights/*.md")  # fmt: skip
NAVIGATION = {
    "Start": ["../README", "how_it_works", "models", "footguns"],
    "Results": [
        "reference",
        "dvt",
        "text",
        "attacks",
        "machine",
        "runtime",
        "../results/index",
        "../benchmark/weights/index",
    ],
    "Reproduce": ["reproduce_dvt", "reproduce_same"],
    "Extend": ["add_model", "add_policy", "add_attack", "add_dataset", "add_machine", "python"],
    "Measure and publish": ["measure", "cluster", "board", "submit"],
    "Project": ["../CONTRIBUTING", "../CHANGELOG", "../api/modules"],
}
_RESULTS_LINK = re.compile(r"\]\(((?:\.\./)*results/[\w/]+)\)")
_EXAMPLES_LINK = re.compile(r"\[([^\]]+)\]\([\w./]*examples/bring_your_own\)")


def build(out: Path) -> None:
    """Write the site into `out`, which is replaced.

    Raises:
        SystemExit: Sphinx found a broken link or another error, which it printed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        staged = Path(scratch) / "source"
        _stage(staged)
        _describe_api(staged / "api")
        html = Path(scratch) / "html"
        command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q",
                   "-c", str(ROOT / "docs" / "site"), str(staged), str(html)]  # fmt: skip
        answer = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
        if answer.returncode:
            errors = answer.stderr.partition("nanobind:")[0]  # a library's report at exit, on every run
            sys.exit(f"{errors}docs/site/build.py: Sphinx reported these errors")
        shutil.rmtree(html / ".doctrees", ignore_errors=True)
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(html, out)
    (out / "index.html").write_text(
        '<!doctype html><meta charset="utf-8"><title>exitbench</title>'
        '<meta http-equiv="refresh" content="0; url=docs/index.html"><a href="docs/index.html">exitbench</a>\n'
    )


def _stage(staged: Path) -> None:
    for pattern in PAGES:
        for source in sorted(ROOT.glob(pattern)):
            target = staged / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.suffix == ".md":
                target.write_text(_staged_text(source), encoding="utf-8")
            else:
                shutil.copyfile(source, target)
    _list_results(staged / "results")
    weights = staged / "benchmark" / "weights"
    _write_page(weights, "# Model cards", "", *_listing(sorted(path.stem for path in weights.glob("*.md"))))
    index = staged / "docs" / "index.md"
    trees = "\n".join(_tree(title, pages) for title, pages in NAVIGATION.items())
    board = '<p><a href="../board/index.html">The board</a> of all committed records is part of this site.</p>\n'
    index.write_text(f"{index.read_text()}\n{board}\n{trees}")


def _staged_text(source: Path) -> str:
    """A page with a title, and without links to folders: those of results have a page instead."""
    text = _RESULTS_LINK.sub(r"](\1/index.md)", source.read_text(encoding="utf-8"))
    text = _EXAMPLES_LINK.sub(r"\1", text)
    return text if text.startswith("# ") else f"# {source.relative_to(ROOT).with_suffix('')}\n\n{text}"


def _tree(title: str, pages: list[str]) -> str:
    lines = "\n".join(pages)
    return f"```{{toctree}}\n:caption: {title}\n:hidden:\n\n{lines}\n```\n"


def _list_results(results: Path) -> None:
    """A page for each folder of results, with its tables and CSV files."""
    folders = sorted({path.parent for path in results.rglob("*.md")})
    for folder in folders:
        tables = sorted(path.stem for path in folder.glob("*.md") if path.name != "index.md")
        files = [f"- {{download}}`{path.name}`" for path in sorted(folder.glob("*.csv"))]
        title = f"# results/{folder.relative_to(results)}"
        _write_page(folder, title, "", "Tables made from the records of this folder.", "", *_listing(tables), *files)
    _write_page(results, "# Tables", "", *_listing([f"{folder.relative_to(results)}/index" for folder in folders]))


def _listing(pages: list[str]) -> list[str]:
    return ["```{toctree}", ":maxdepth: 1", "", *pages, "```", ""]


def _write_page(folder: Path, *lines: str) -> None:
    (folder / "index.md").write_text("\n".join([*lines, ""]), encoding="utf-8")


def _describe_api(folder: Path) -> None:
    command = [sys.executable, "-m", "sphinx.ext.apidoc", "--module-first", "--separate", "-q", "-o", str(folder),
               str(ROOT / "benchmark"), str(ROOT / "benchmark" / "weights")]  # fmt: skip
    subprocess.run(command, check=True)
    for page in folder.glob("*.rst"):  # several modules re-export the one error that users catch
        if page.stem != "benchmark.types.errors":
            page.write_text(
                page.read_text().replace("   :members:\n", "   :members:\n   :exclude-members: ExitbenchError\n")
            )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("docs/site/build.py: expected one folder to write, for example build/site")
    build(Path(sys.argv[1]))
