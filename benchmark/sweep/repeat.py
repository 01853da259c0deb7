"""Measure a record's combination again from the configuration that the record holds."""

from __future__ import annotations

from benchmark.records.record import Record
from benchmark.types import ExitbenchError


def repeated(record: Record, config_dir: str = "") -> Record:
    """A new record of the same combination, measured here in a process of its own.

    What the record's configuration does not say, as it may be of an older version, is as the present defaults have it.
    config_dir: the folder of the choices that the record was made with, where they were not the suite's own.

    Raises:
        ExitbenchError: a choice that is not here, a failed record without a configuration, or the run's own error.
    """
    from omegaconf import OmegaConf, open_dict

    from benchmark.config.compose import compose
    from benchmark.sweep.isolation import measure_in_subprocess

    if not record.config:
        raise ExitbenchError(f"rerun: expected a record that holds its configuration, got {record.record_id} without")
    groups = ("model", "dataset", "workload", "policy", "hardware", "scenario")
    cfg = compose("config", [f"{group}={record.choices[group]}" for group in groups], config_dir)
    with open_dict(cfg):
        cfg.merge_with(OmegaConf.create(dict(record.config)))
    identity = {"record_id": record.record_id, "choices": record.choices, "config": record.config}
    return measure_in_subprocess(cfg, identity, config_dir)[0]  # type: ignore[arg-type]
