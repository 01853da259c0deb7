"""The overrides that each combination of a sweep receives, whichever choice their key belongs to."""

import pytest
from hydra.errors import HydraException

from benchmark.sweep.launch import Launch, _as_sweep_values
from benchmark.utils.project_root import project_root

TWO = ["model=minilm_exits", "workload=same,random"]


def configurations(tmp_path, *overrides):
    found = []
    Launch(project_root() / "conf").multirun(found.append, [*TWO, *overrides, f"hydra.sweep.dir={tmp_path}"])
    return found


def test_one_value_for_a_key_that_only_the_swept_choices_have(tmp_path):
    found = configurations(tmp_path, "workload.searches.text.least=7")
    assert [cfg.workload.searches.text.least for cfg in found] == [7, 7]


def test_the_overrides_of_an_outcome_are_those_of_the_command(tmp_path):
    made = Launch(project_root() / "conf").multirun(
        lambda cfg: None, [*TWO, "workload.searches.text.least=7", f"hydra.sweep.dir={tmp_path}"]
    )
    assert all("workload.searches.text.least=7" in asked for _, asked in made)


def test_a_key_that_no_choice_has_is_still_refused(tmp_path):
    with pytest.raises(HydraException, match="leest"):
        configurations(tmp_path, "workload.searches.text.leest=7")


KEPT = ["records=here", "~workload.seed", "timing.samples=0,4", "hydra.sweep.dir=x", "dataset@_global_.dataset=texts"]


@pytest.mark.parametrize("kept", [*KEPT, "workload.source_model=", "workload.x=null"])
def test_an_override_that_is_no_plain_value_of_a_group_stays_as_it_is(kept):
    assert _as_sweep_values([kept]) == [kept]


@pytest.mark.parametrize("value", ["7", "'a b'", "[1,2]", "{a: 1}", "${limit}", "a/b.txt"])
def test_any_value_stays_whole(value):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    read = OverridesParser.create().parse_overrides
    (late,) = read(_as_sweep_values([f"workload.x={value}"]))
    (plain,) = read([f"workload.x={value}"])
    assert late.is_sweep_override()
    (said,) = late.sweep_string_iterator()
    assert read([f"workload.x={said}"])[0].value() == plain.value()
