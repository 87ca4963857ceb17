"""The settings of every command and group: type, default, range and description.

`python -m vgg_lit.config.documents` writes the help, docs/reference.md and conf/schema.json from them.
Values that need more than a type, such as a network's arguments, are checked by `vgg_lit.config.checks`.
"""

from pydantic import BaseModel

from vgg_lit.config.schema.commands import (
    Compare,
    Evaluate,
    Export,
    Predict,
    Preview,
    ProcessLauncherSettings,
    Reproduce,
    Stylize,
    Summarize,
    Visualize,
)
from vgg_lit.config.schema.groups import (
    AugmentGroup,
    CallbacksGroup,
    ModelGroup,
    PrunerGroup,
    SamplerGroup,
)
from vgg_lit.config.schema.optimization import LossGroup, OptimizerGroup, SchedulerGroup
from vgg_lit.config.schema.reporting import LoggerGroup, MetricsGroup
from vgg_lit.config.schema.sections import Figure, Section
from vgg_lit.config.schema.sources import SourceSettings
from vgg_lit.config.schema.train import Data, Init, Train, Trainer, Tune

COMMANDS: dict[str, type[Section]] = {
    "train": Train,
    "evaluate": Evaluate,
    "predict": Predict,
    "visualize": Visualize,
    "preview": Preview,
    "summarize": Summarize,
    "compare": Compare,
    "export": Export,
    "reproduce": Reproduce,
    "stylize": Stylize,
    "tune": Tune,
}
"""The settings of each command."""

GROUPS: dict[str, type[BaseModel]] = {
    "model": ModelGroup,
    "data": Data,
    "augment": AugmentGroup,
    "loss": LossGroup,
    "optimizer": OptimizerGroup,
    "scheduler": SchedulerGroup,
    "trainer": Trainer,
    "callbacks": CallbacksGroup,
    "metrics": MetricsGroup,
    "logger": LoggerGroup,
    "sampler": SamplerGroup,
    "pruner": PrunerGroup,
}
"""The settings of each group of configs."""

SUBSECTIONS: dict[str, type[BaseModel]] = {"init": Init, "data.source": SourceSettings}
"""The settings of sections that have no group."""

__all__ = [
    "COMMANDS",
    "GROUPS",
    "SUBSECTIONS",
    "Compare",
    "Data",
    "Evaluate",
    "Export",
    "Figure",
    "Init",
    "Predict",
    "Preview",
    "ProcessLauncherSettings",
    "Reproduce",
    "Section",
    "Stylize",
    "Summarize",
    "Train",
    "Trainer",
    "Tune",
    "Visualize",
]
