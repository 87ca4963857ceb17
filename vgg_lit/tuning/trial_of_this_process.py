"""The trial that a process trains; its driver passes it in an environment variable.

trial = TrialOfThisProcess.from_environment()
trial.report(epoch=3, value=0.91)    # True if the trial is to be pruned
"""

import json
import os
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vgg_lit.errors import InputError, one_line
from vgg_lit.system.small_files import parse_json
from vgg_lit.tuning.studies import StudyDirectory, require_optuna

if TYPE_CHECKING:
    from optuna import Study

TRIAL = "VGG_LIT_TRIAL"
"""Environment variable of a trial's processes; the fields of `TrialOfThisProcess` as JSON."""


@dataclass(frozen=True)
class TrialOfThisProcess:
    """The trial that this process trains; its driver passes it in the environment.

    Args:
        directory: directory of the study.
        number: number of the trial.
        pruner: `_target_` and arguments.
    """

    directory: str
    number: int
    pruner: dict[str, Any]

    @classmethod
    def from_environment(cls) -> "TrialOfThisProcess | None":
        """Returns the trial of this process; None if the training is not a trial.

        Raises:
            InputError: the environment variable is invalid.
        """
        text = os.environ.get(TRIAL)
        try:
            return parse_json(text, cls) if text else None
        except ValueError as error:
            raise InputError(f"{TRIAL}: cannot be read: {one_line(error)}") from error

    def environment(self) -> dict[str, str]:
        """Returns the environment variables that `from_environment` reads."""
        return {TRIAL: json.dumps(asdict(self))}

    @cached_property
    def _study(self) -> "Study":
        require_optuna()
        return StudyDirectory(self.directory).open(self.pruner)

    def report(self, epoch: int, value: float) -> bool:
        """Reports the objective after an epoch, counted from 1; returns True if the trial is to be pruned."""
        from optuna.trial import Trial

        frozen = self._study.get_trials(deepcopy=False)[self.number]
        trial = Trial(self._study, frozen._trial_id)
        if epoch not in frozen.intermediate_values:  # otherwise reported before an interruption
            trial.report(value, epoch)
        return trial.should_prune()
