"""Config and command of each trial of a study."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vgg_lit.config.checks import to_plain
from vgg_lit.config.command import config_flags, inherited_overrides, trusting
from vgg_lit.config.refusals import explain_refusal
from vgg_lit.config.schema import Train, Tune
from vgg_lit.errors import InputError

TRIAL_DEFAULTS = ("test=false",)
"""First overrides of a trial: trials do not evaluate the test set, which must not select settings."""

SEARCH_SETTINGS = {"name", *(Tune.model_fields.keys() - Train.model_fields.keys())}
"""Settings of the search, which trials do not receive."""


class TrialConfigs:
    """Composes configs and commands of trials.

    Args:
        hydra: Hydra's config of this command.
        config_loader: the loader that composed it.

    Attributes:
        shared: overrides of all trials.
        keys: keys of these overrides.
    """

    def __init__(self, hydra: Any, config_loader: ConfigLoader) -> None:
        self.config_loader = config_loader
        self._flags = config_flags(hydra)
        self._of_hydra = inherited_overrides(hydra)
        parsed = OverridesParser.create().parse_overrides(list(hydra.overrides.task))
        self.shared = [
            str(override.input_line)
            for override in parsed
            if override.key_or_group.partition(".")[0] not in SEARCH_SETTINGS
        ]
        self.keys = {override.key_or_group for override in parsed}

    @property
    def groups(self) -> set[str]:
        """Names of the config groups of a training."""
        return set(self._compose([]).hydra.runtime.choices)

    def plain(self, overrides: Sequence[str] = ()) -> dict[str, Any]:
        """Composes the config of a trial with these overrides.

        Raises:
            ConfigError: there is no such setting, or no such option of a group.
        """
        return to_plain(self._compose(overrides), without="hydra")

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        typed = [*self._of_hydra, *TRIAL_DEFAULTS, *self.shared, *overrides]
        try:
            return self.config_loader.load_configuration("train", typed, RunMode.RUN)
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(explain_refusal(error, "train", [*typed, *self._flags])) from error

    def command(self, directory: Path, overrides: Sequence[str] | None) -> list[str]:
        """Returns the command of a trial in a directory; without overrides, it resumes the trial."""
        place = QuotedString(str(directory), Quote.single).with_quotes()
        command = [sys.executable, "-m", "vgg_lit.train", *self._flags]
        if overrides is None:
            return [*command, f"resume={place}", *trusting(self.plain())]
        typed = [*TRIAL_DEFAULTS, *self.shared, *overrides, *self._of_hydra]
        return [*command, *typed, f"hydra.run.dir={place}"]
