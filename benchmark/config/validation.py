"""Compose every yaml and report what is wrong with each; no weights are loaded and no data is read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.config import experiments, sweep_points
from benchmark.config.choices import GROUPS, describe
from benchmark.config.compose import compose, one_line, plain
from benchmark.config.hydra_internals import installed
from benchmark.config.targets import faults
from benchmark.types import ExitbenchError
from benchmark.utils.project_root import project_root

NOT_BUILT = ("max_drop", "guarantee", "bound")  # of a policy: how its threshold is chosen, no argument of the rule
ProgressBar = Callable[[Iterable[Any], str], Iterable[Any]]
# Groups that do not affect each other and so are composed together. Of a model, all that it brings is checked.
TOGETHER = {"config": ("model", "workload", "hardware"), "train": ("dataset", "policy", "recipe")}


@dataclass
class Report:
    """How much was checked, and one line for each fault."""

    yamls: int = 0
    points: int = 0
    faults: list[str] = field(default_factory=list)


def validate(roots: Sequence[Path], config_dir: str, bar: ProgressBar) -> Report:
    """Check all choices of conf/ and of the user's own folder.

    bar: wraps an iterable to show progress.
    """
    report = Report()
    known: dict[str, dict[str, Path]] = {}
    for group in GROUPS:
        for root in roots:
            for file in sorted((root / group).glob("*.yaml")):
                report.yamls += 1
                report.faults += _unreadable(file, known.setdefault(group, {}).get(file.stem), root)
                known[group].setdefault(file.stem, file)
    report.faults += [fault for root in roots for fault in _unknown_folders(root)]
    unread = {fault.partition(":")[0] for fault in report.faults}
    sound = {group: {name: file for name, file in found.items() if _name(file) not in unread}
             for group, found in known.items()}  # fmt: skip
    bundles = [(primary, dict(zip(groups, names, strict=True))) for primary, groups in TOGETHER.items()
               for names in itertools.zip_longest(*(sound.get(group, {}) for group in groups))]  # fmt: skip
    bundles += [
        ("", {group: name}) for group in ("workload/objective", "hydra/launcher") for name in sound.get(group, {})
    ]
    for primary, bundle in bar(bundles, "choices"):
        report.faults += _bundle(primary, {group: name for group, name in bundle.items() if name}, sound, config_dir)
    for name, file in bar(sound.get("experiment", {}).items(), "experiments"):
        count, found = _experiment(name, config_dir)
        report.points += count
        report.faults += [f"{_name(file)}: {fault}" for fault in found]
    return report


def check_choice(group: str, name: str, config_dir: str) -> list[str]:
    """What is wrong with one choice, and with what it brings."""
    if group == "hydra/launcher":
        return _launcher(name, config_dir)
    if group == "workload/objective":
        return check_nodes("config", ["workload=same", f"workload/objective={name}"], config_dir, ("workload",))
    return check_nodes("train" if group == "recipe" else "config", [f"{group}={name}"], config_dir, _parts([group]))


def _bundle(primary: str, bundle: dict[str, str], sound: dict[str, dict[str, Path]], config_dir: str) -> list[str]:
    """Check choices of several groups in one composition, which is faster; one by one where something is wrong."""
    overrides = [f"{group}={name}" for group, name in bundle.items()]
    if primary and not check_nodes(primary, overrides, config_dir, _parts(bundle)):
        return []
    return [f"{_name(sound[group][name])}: {fault}" for group, name in bundle.items()
            for fault in check_choice(group, name, config_dir)]  # fmt: skip


def _parts(groups: Iterable[str]) -> list[str]:
    return [part for group in groups for part in (("model", "dataset", "policy") if group == "model" else (group,))]


def check_nodes(primary: str, overrides: Sequence[str], config_dir: str, nodes: Sequence[str]) -> list[str]:
    """What is wrong with these nodes of a composed configuration."""
    from omegaconf.errors import OmegaConfBaseException

    try:
        config = plain(compose(primary, overrides, config_dir))
    except ExitbenchError as error:
        return [str(error)]
    except OmegaConfBaseException as error:
        return [one_line(error)]
    found = [fault for part in nodes for fault in _check_part(config.get(part), part)]
    if {"model", "dataset"} <= set(nodes):
        found += _check_fit(config["model"], config["dataset"])
    return found


def _check_part(node: object, part: str) -> list[str]:
    if not isinstance(node, dict) or "_target_" not in node:
        return [f"{part}._target_: expected what to build, got nothing"]
    if part != "policy":
        return list(faults(node, part))
    missing = [f"policy.{key}: expected a value, got nothing" for key in ("threshold", "max_drop") if key not in node]
    return missing or list(faults({key: value for key, value in node.items() if key not in NOT_BUILT}, part))


def _check_fit(model: dict[str, object], dataset: dict[str, object]) -> list[str]:
    """Whether a model fits the dataset it brings, as far as their yamls say."""
    classes, names = model.get("num_classes"), dataset.get("class_names")
    if isinstance(classes, int) and isinstance(names, list) and classes != len(names):
        return [f"model.num_classes: expected {len(names)}, as its dataset has, got {classes}"]
    return []


def _experiment(name: str, config_dir: str) -> tuple[int, list[str]]:
    """How many points an experiment sweeps, and what is wrong with it or at which of them."""
    chosen = f"+experiment={name}"
    try:
        if experiments.parts_of(name, [*([Path(config_dir)] if config_dir else []), project_root() / "conf"]):
            return 0, []  # its parts are experiments and are checked as such
        params = compose("config", [chosen], config_dir, return_hydra_config=True).hydra.sweeper.params or {}
        found = sweep_points.axes(params)
    except ExitbenchError as error:
        return 0, [str(error)]
    wrong = []
    for point in sweep_points.cover(found):
        groups = ("model", "dataset", "workload", "policy", "hardware")
        for fault in check_nodes("config", [chosen, *point], config_dir, groups):
            wrong.append(f"{fault} (at {' '.join(point) or 'its defaults'})")
    return len(sweep_points.points(found)), list({fault.partition(" (at ")[0]: fault for fault in wrong}.values())


def _launcher(name: str, config_dir: str) -> list[str]:
    """What is wrong with a launcher's settings. Its arguments are known only where its extra is installed."""
    from omegaconf import OmegaConf

    try:
        node = compose("config", [f"hydra/launcher={name}"], config_dir, return_hydra_config=True).hydra.launcher
    except ExitbenchError as error:
        return [str(error)]
    if not installed(str(node.get("_target_"))):
        return []
    settings = OmegaConf.to_container(node, resolve=False)
    return [fault for fault in faults(settings, "hydra.launcher") if "cannot locate" not in fault]


def _unreadable(file: Path, before: Path | None, root: Path) -> list[str]:
    """What is wrong with a file before anything is composed."""
    import yaml

    if before is not None:
        return [f"{_name(file)}: hidden by {_name(before)}, which has its name; rename it"]
    try:
        node = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return [f"{_name(file)}: no yaml that can be read ({' '.join(str(error).split())})"]
    if not isinstance(node, dict):
        return [f"{_name(file)}: expected settings by name, got {node!r:.60}"]
    if len(describe(file).split()) < 3:
        return [f"{_name(file)}: expected a comment on the first line that says what it is, got {describe(file)!r}"]
    return []


def _unknown_folders(root: Path) -> list[str]:
    """Folders of yamls whose name is no group: Hydra would silently ignore them."""
    found = {file.parent.relative_to(root).as_posix() for file in root.rglob("*.yaml")} - {*GROUPS, "."}
    return [f"{root / name}: expected a folder named {', '.join(GROUPS)}; nothing reads this one" for name in found]


def _name(file: Path) -> str:
    """A file's path as it is printed: below the project's root where it is there."""
    return str(file.relative_to(project_root())) if file.is_relative_to(project_root()) else str(file)
