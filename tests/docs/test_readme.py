"""What README tells people to do works; its commands and links are checked with those of docs, in tests/docs."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_python_example_is_one_that_is_run():
    """The blocks of docs/python.md are run by tests/docs; README shows the first of them, comments aside."""
    blocks = [
        _bare(code) for code in re.findall(r"```python\n(.+?)```", (ROOT / "docs" / "python.md").read_text(), re.S)
    ]
    (code,) = re.findall(r"```python\n(.+?)```", README, re.S)
    assert _bare(code) == blocks[0]


def _bare(code: str) -> str:
    return ast.dump(ast.parse(code))


def test_make_runs_what_readme_shows():
    makefile = (ROOT / "Makefile").read_text()
    for word in re.findall(r"exitbench run -m (.+)", README)[0].split():
        assert word in makefile or word.replace("200", "$(DEMO_LIMIT)") in makefile
    assert "DEMO_LIMIT ?= 200" in makefile
