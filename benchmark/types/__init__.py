"""Ground floor: errors, protocols, and the frozen dataclasses that travel between rooms.

Nothing here imports torch at run time, so records, leaderboards and plots can use it cheaply.
"""

from benchmark.types.errors import ExitbenchError, NotApplicable, Unwritable
from benchmark.types.measurements import Hardware, Latency
from benchmark.types.protocols import (
    EarlyExitModel,
    Finished,
    Objective,
    Policy,
    Search,
    Source,
    StagedModel,
    WordModel,
    Workload,
    unwatched,
)
from benchmark.types.results import Cost, Perturbed, Trace
from benchmark.types.samples import Batch, Dataset, ImageSample, Metric, Sample, TextSample

__all__ = [
    "Batch",
    "Cost",
    "Dataset",
    "EarlyExitModel",
    "ExitbenchError",
    "Finished",
    "Hardware",
    "ImageSample",
    "Latency",
    "Metric",
    "NotApplicable",
    "Objective",
    "Perturbed",
    "Policy",
    "Sample",
    "Search",
    "Source",
    "StagedModel",
    "TextSample",
    "Trace",
    "Unwritable",
    "WordModel",
    "Workload",
    "unwatched",
]
