"""`exitbench validate` finds every kind of mistake, names the file, and finds none where there is none."""

from pathlib import Path

import pytest

from benchmark.cli.main import main
from benchmark.config import sweep_points
from benchmark.config.choices import roots
from benchmark.config.validation import validate
from benchmark.types import ExitbenchError

RULE = "_target_: benchmark.policies.confidence.Confidence\nthreshold: auto\nmax_drop: 0.01\n"
SAYS = "# What this choice is.\n"
# file -> its text, and what is said of it
BROKEN = {
    "policy/unknown_target": (SAYS + RULE.replace("Confidence", "Confidenc"), "cannot locate benchmark.policies.conf"),
    "policy/unknown_module": (SAYS + RULE.replace("benchmark", "no_such_package"), "is its package installed?"),
    "policy/unknown_argument": (SAYS + RULE + "treshold: 1\n", "takes no argument treshold; it takes threshold"),
    "policy/no_threshold": (SAYS + RULE.replace("threshold: auto\n", ""), "policy.threshold: expected a value"),
    "policy/no_description": (RULE, "expected a comment on the first line that says what it is"),
    "policy/no_target": (SAYS + "threshold: 1\nmax_drop: 0\n", "policy._target_: expected what to build"),
    "policy/no_yaml": (SAYS + "threshold: [1\n", "no yaml that can be read"),
    "policy/a_list": (SAYS + "- 1\n", "expected settings by name"),
    "policy/lost_reference": (SAYS + RULE.replace("auto", "${nowhere.to_be_found}"), "nowhere.to_be_found"),
    "workload/missing_argument": (SAYS + "_target_: benchmark.attacks.adversarial.Adversarial\nname: x\n",
                                  "needs objective, searches"),
    "workload/deep": (SAYS + "defaults: [same, _self_]\nsearches: {image: {epsilom: 1}}\n",
                      "workload.searches.image.epsilom"),
    "model/dangling_default": (SAYS + "defaults: [no_such_model]\n", "no_such_model"),
    "model/unfit": (SAYS + "defaults: [dvt_fashion]\nnum_classes: 7\n", "model.num_classes: expected 10"),
    "experiment/unknown_choice": ("# @package _global_\n" + SAYS
                                  + "hydra: {sweeper: {params: {model: 'dvt_fashion,dvt_fashoin'}}}\n", "dvt_fashoin"),
    "experiment/unknown_setting": ("# @package _global_\n" + SAYS + "hydra:\n  sweeper:\n    params:\n"
                                   "      workload: same,clean\n      workload.searches.text.least: 1,2\n",
                                   "at workload=clean workload.searches.text.least=2"),
    "experiment/no_sweep": ("# @package _global_\n" + SAYS + "hydra: {sweeper: {params: {limit: 'range(1,'}}}\n",
                            "limit"),
    "modle/nobody_reads_this": (SAYS + RULE, "expected a folder named model, dataset"),
}  # fmt: skip
SOUND = {
    "policy/mine": SAYS + RULE,
    "model/inherits": SAYS + "defaults: [dvt_fashion]\n",
    "experiment/mine": "# @package _global_\n"
    + SAYS
    + "hydra: {sweeper: {params: {policy: 'mine,entropy', limit: 5}}}\n",
}


def write(folder: Path, texts: dict[str, str]) -> list[Path]:
    for name, text in texts.items():
        file = folder / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return [folder]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    found = write(folder, {name: text for name, (text, _) in BROKEN.items()} | SOUND)
    return validate(found, str(folder), lambda items, _: items)


@pytest.mark.parametrize("name", BROKEN)
def test_each_kind_of_mistake_is_one_line_with_the_file(report, name):
    lines = [line for line in report.faults if f"/{name}.yaml: " in line or f"/{name.split('/')[0]}: " in line]
    assert len(lines) == 1, report.faults
    assert BROKEN[name][1] in lines[0]
    assert "\n" not in lines[0]


def test_what_is_sound_has_no_line_and_every_sweep_point_is_counted(report):
    assert not [line for line in report.faults for name in SOUND if f"/{name}.yaml" in line]
    assert len(report.faults) == len(BROKEN)
    assert report.yamls == len(BROKEN) - 1 + len(SOUND)  # nobody reads the last of the broken ones
    assert report.points == 2 + 4 + 2


def test_a_choice_behind_one_of_the_same_name_is_a_mistake(tmp_path):
    first, second = (write(tmp_path / name, {"policy/mine": SAYS + RULE}) for name in ("house", "own"))
    (fault,) = validate([*first, *second], str(tmp_path / "own"), lambda items, _: items).faults
    assert "own/policy/mine.yaml: hidden by" in fault


def test_the_command_says_so_and_fails(tmp_path, capsys, monkeypatch):
    (own,) = write(tmp_path, {"policy/broken": BROKEN["policy/unknown_argument"][0]})
    monkeypatch.setattr("benchmark.cli.validate.roots", lambda given: [Path(given)])
    assert main(["validate", "--config-dir", str(own)]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"{own}/policy/broken.yaml: policy.treshold")
    assert printed[1] == "1 faults in 1 yamls"


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_a_folder_that_holds_no_choices_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExitbenchError, match="config-dir: expected a folder"):
        roots(folder)


def test_the_points_composed_hold_every_value_of_every_axis():
    axes = sweep_points.axes({"model": "a,b,c", "policy": "x,y", "limit": 5, "workload.seed": "range(0,4)"})
    assert axes == {"model": ["a", "b", "c"], "policy": ["x", "y"], "limit": ["5"],
                    "workload.seed": ["0", "1", "2", "3"]}  # fmt: skip
    assert len(sweep_points.points(axes)) == 3 * 2 * 1 * 4
    covered = sweep_points.cover(axes)
    assert set(covered) <= set(sweep_points.points(axes))
    assert {word for point in covered for word in point} == {f"{key}={one}" for key in axes for one in axes[key]}
