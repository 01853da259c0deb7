"""Every command in README and docs: all are checked to the last override, and those that can be are run, cut down."""

import itertools
import re
from pathlib import Path

import pytest
from make_records import make_sweep
from page_commands import ROOT, collect, faults, shrunk

from benchmark.cli.main import main
from benchmark.records import record

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
COMMANDS = list(dict.fromkeys(command for page in PAGES for command in collect(page.read_text(encoding="utf-8"))))
RUN = {command: words for command in COMMANDS if (words := shrunk(command))}


@pytest.fixture(scope="module")
def my_conf(tmp_path_factory):
    """What the pages call my/conf: a model of one's own, and the profile that add_machine.md shows."""
    folder = tmp_path_factory.mktemp("my") / "conf"
    (profile,) = re.findall(r"```yaml\n(.+?)```", (ROOT / "docs" / "add_machine.md").read_text(), re.S)
    for name, text in (("model/mine", "# Mine, in a test.\ndefaults: [dvt_fashion]\n"), ("hardware/cpu_4t", profile)):
        file = folder / f"{name}.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_it_would_start(command, my_conf, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "examples" / "bring_your_own"))
    monkeypatch.chdir(ROOT)
    assert faults(command, my_conf) == []


@pytest.mark.parametrize("command", RUN)
def test_it_runs_cut_down(command, tmp_path, monkeypatch):
    monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path / "cache"))
    words = RUN[command]
    if words[0] == "leaderboard":
        monkeypatch.chdir(tmp_path)
        _records(words)
    elif words[0] == "run":
        monkeypatch.chdir(tmp_path)
    else:
        monkeypatch.chdir(ROOT)
    assert main(words) == 0
    if words[0] == "run":
        made = [record.read(path) for path in (tmp_path / "results" / "records").glob("*.json")]
        assert {one.status for one in made} == {"ok"}


def _records(words):
    """Records, and the leaderboard that --validate wants, where the command looks for them."""
    named = words[words.index("--records") + 1 :] if "--records" in words else ["results/records"]
    for folder in itertools.takewhile(lambda word: not word.startswith("-"), named):
        for one in make_sweep():
            record.write(one, Path(folder))
    if "--validate" in words:
        assert main([word for word in words if word != "--validate"]) == 0


def test_enough_of_each_kind_is_run_and_not_only_checked():
    """The rest needs data or time that a test has not: training (see test_bring_your_own), experiments, figures."""
    assert len(COMMANDS) > 60
    assert len(RUN) >= 15
    assert {words[0] for words in RUN.values()} == {"run", "leaderboard", "ls", "bench"}
    assert any("-m" in words for words in RUN.values())


BROKEN = {
    "exitbench run model=dvt_fashion policy.treshold=0.9": "treshold",
    "exitbench run model=dvt_fashoin": "dvt_fashion",
    "exitbench run model=dvt_fashion,minilm_exits": "there is no -m",
    "exitbench run -m model=dvt_fashion,minilm_exist": "minilm_exist",
    "exitbench run +experiment=no_such": "no_such",
    "exitbench run --config-dir no/such/folder": "no/such/folder",
    "exitbench run --configdir my": "--configdir",
    "exitbench train model=dvt_fashion recipe=joint_image": "joint_images",
    "exitbench train model=dvt_fashion recipe=joint_images recipe.epoch=5": "epoch",
    "exitbench leaderboard --where \"modle=='dvt_fashion'\"": "modle",
    "exitbench leaderboard --table dtv": "no table dtv",
    "exitbench plot": "invalid choice",
    "exitbench bench exit_rule_sweep": "no bench",
    "exitbench bench lam modle=dvt_fashion": "takes no modle",
    "exitbench ls modles": "no group modles",
    "make dmeo": "no target dmeo",
}


@pytest.mark.parametrize("command", BROKEN)
def test_a_broken_command_is_caught_on_a_page(command):
    page = f"# A page\n\nSay:\n\n    {command}   # as so often\n\nor `{command} ` inline.\n"
    found = collect(page)
    assert found
    for one in found:
        (fault,) = faults(one)
        assert BROKEN[command] in fault
