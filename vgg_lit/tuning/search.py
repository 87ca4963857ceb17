"""The driver of a study: takes trials, trains each in a separate process, and records their results.

Several drivers can work on one study. A driver takes a trial under the study's lock and holds it with the
trial's lock, which the processes of the trial inherit, except on Windows. If a trial is recorded as running
but its lock is free and no process trains in its directory, its driver was killed; the next driver resumes
the trial with the same values.
"""

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.live import Live

from vgg_lit.config.schema import Tune
from vgg_lit.errors import EXIT_BAD_INPUT, InputError
from vgg_lit.launching.job_process import (
    JobProcess,
    Signals,
    count_job_processes,
    job_environment,
    machine_shares,
)
from vgg_lit.launching.pool import Pool, record_failure
from vgg_lit.runs import find_run, prepare_attempt
from vgg_lit.system.claims import is_claimed_elsewhere
from vgg_lit.system.locks import take_lock
from vgg_lit.system.terminal import visible
from vgg_lit.tables import format_metric, plain_console
from vgg_lit.tuning.space import SearchSpace, Value
from vgg_lit.tuning.studies import StudyDirectory, build_sampler
from vgg_lit.tuning.study_report import best_trial, live_table
from vgg_lit.tuning.trial_of_this_process import TrialOfThisProcess

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, TrialState

GRACE_SECONDS = 60.0
"""Time from ctrl-C or SIGTERM until running trials are killed."""

REFRESH_SECONDS = 1.0
"""Time between two reads of the storage, which other drivers change."""


@dataclass(frozen=True)
class TakenTrial:
    """A trial that this driver runs; the driver owns it while the lock file is open."""

    number: int
    params: Mapping[str, Value]
    lock: TextIO


class Search:
    """Runs trials until the study has `n_trials`.

    Args:
        directory: directory of the study, which exists.
        space: search space.
        settings: settings of the command.
        command: function that returns the command of a training from its directory and overrides;
            overrides of None resume the run in the directory.
    """

    def __init__(
        self,
        directory: StudyDirectory,
        space: SearchSpace,
        settings: Tune,
        command: Callable[[Path, Sequence[str] | None], Sequence[str]],
    ) -> None:
        self.directory = directory
        self.space = space
        self.settings = settings
        self.study = directory.open(settings.pruner)
        self.signals = Signals()
        self._command = command
        self._is_grid = settings.sampler["_target_"].endswith(".GridSampler")
        self.n_trials = settings.n_trials
        if self._is_grid:
            size = 1
            for values in space.grid().values():
                size *= len(values)
            self.n_trials = min(self.n_trials, size)
        self._trials: list[FrozenTrial] = []
        self._look_at = self._take_at = 0.0  # when to read the storage next
        self._is_waiting = False
        self._live: Live | None = None

    def run(self) -> None:
        """Runs trials until all have ended, including those of other drivers.

        Raises:
            SystemExit: a signal has ended the driver; the next driver resumes the running trials.
        """
        pool: Pool[TakenTrial] = Pool(
            machine_shares(self.settings.n_jobs), self.signals, GRACE_SECONDS
        )
        console = plain_console()
        if console.is_terminal:
            self._live = Live(console=console, transient=True, auto_refresh=False)
        with self.signals, self._live or nullcontext():
            pool.run(self._has_more, self._start, self._finish, look=self._has_more)
        if self.signals.received:
            raise SystemExit(128 + pool.ending_signal)

    def has_result(self) -> bool:
        """Returns True if a trial is completed."""
        return best_trial(self._trials, self.settings.objective) is not None

    def last_reason(self) -> str:
        """Returns the reason why the last trial that has ended failed or was pruned."""
        ended = [trial for trial in self._trials if trial.state.is_finished()]
        if not ended:
            return "no trial has ended"
        return f"trial {ended[-1].number}: {ended[-1].user_attrs.get('reason', 'was pruned')}"

    def _has_more(self) -> bool:
        """Returns True if a trial has not started, or has not ended in another driver."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + REFRESH_SECONDS
            self._trials = self.study.get_trials(deepcopy=False)
            self._show()
        begun = _begun(self._trials)
        return len(begun) < self.n_trials or not all(t.state.is_finished() for t in begun)

    def _show(self) -> None:
        """Draws the table, if there is a terminal."""
        if self._live:
            table = live_table(self._trials, self.settings, self.n_trials, self._live.console.width)
            self._live.update(table, refresh=True)

    def _start(self, share: Mapping[str, str]) -> tuple[TakenTrial, JobProcess] | None:
        if time.monotonic() < self._take_at:
            return None
        taken = self._take()
        if taken is None:
            self._take_at = time.monotonic() + REFRESH_SECONDS
            return None
        self._look_at = 0.0
        directory = self.directory.trial(taken.number)
        self._set_aside_other_run(taken)
        is_resumed = prepare_attempt(directory)
        overrides = self.space.overrides(taken.params)
        self._say(taken.number, f"{'resumes' if is_resumed else 'starts'}: {' '.join(overrides)}")
        trial = TrialOfThisProcess(
            str(self.directory.path), taken.number, dict(self.settings.pruner)
        )
        processes = count_job_processes(self.settings.trainer["devices"])
        try:
            process = JobProcess(
                self._command(directory, None if is_resumed else overrides),
                env=job_environment(share, processes) | trial.environment(),
                log=directory / "log.txt",
                prefix=None,
                inherited=[taken.lock.fileno()],
            )
        except OSError as error:
            self._fail(taken, f"cannot be started: {error}")
            return None
        return taken, process

    def _take(self) -> TakenTrial | None:
        """Takes a trial that its driver left behind, or a new one; returns None if there is neither."""
        from optuna.trial import Trial, TrialState

        with self.directory.lock():
            trials = self.study.get_trials(deepcopy=False)
            for frozen in trials:
                if frozen.state != TrialState.RUNNING:
                    continue
                lock = take_lock(self.directory.trial_lock(frozen.number))
                if lock is None:
                    continue
                # Its driver may have recorded its end, and then released the lock, after the list was read.
                is_ended = self._find(frozen.number).state != TrialState.RUNNING
                # Windows passes no lock on: the process of a killed driver may still save its work.
                if is_ended or is_claimed_elsewhere(self.directory.trial(frozen.number)):
                    lock.close()
                    continue
                left = TakenTrial(frozen.number, frozen.params, lock)
                self._set_aside_other_run(left)
                if not self._record_end(left):  # otherwise it ended after its driver
                    if frozen.params.keys() == self.space.distributions.keys():
                        return left
                    self._set_sampler(frozen.number)  # its driver was killed while drawing values
                    self.study.sampler.before_trial(self.study, frozen)
                    params = self.space.suggest(Trial(self.study, frozen._trial_id))
                    return TakenTrial(frozen.number, params, lock)
            begun = _begun(trials)
            if len(begun) >= self.n_trials:
                if not self._is_waiting and any(not t.state.is_finished() for t in begun):
                    self._is_waiting = True
                    self._say(None, "all trials have started; waiting for the running ones")
                return None
            self._set_sampler(len(trials))
            trial = self.study.ask()
            new_lock = take_lock(self.directory.trial_lock(trial.number))
            assert new_lock, "trial numbers are unique"
            return TakenTrial(trial.number, self.space.suggest(trial), new_lock)

    def _set_aside_other_run(self, taken: TakenTrial) -> None:
        """Renames the directory of a trial that another run is in, such as a copied one."""
        if reason := self.directory.set_aside_other_run(taken.number, taken.params):
            self._say(taken.number, f"{reason}; it is set aside, and the trial starts again")

    def _find(self, number: int) -> "FrozenTrial":
        """Returns a trial as it is in the storage now."""
        return self.study.get_trials(deepcopy=False)[number]

    def _set_sampler(self, number: int) -> None:
        grid = self.space.grid() if self._is_grid else None
        self.study.sampler = build_sampler(self.settings.sampler, number, grid)

    def _finish(self, taken: TakenTrial, process: JobProcess, code: int) -> None:
        self._look_at = self._take_at = 0.0
        if self._record_end(taken):
            return
        if self.signals.received:
            self._say(taken.number, "interrupted; the next driver of the study resumes it")
            taken.lock.close()
        elif code == EXIT_BAD_INPUT:
            self._fail(taken, process.last_line)
        else:
            directory = self.directory.trial(taken.number)
            self._fail(taken, record_failure(directory, process, code, is_asked=False)[1])

    def _record_end(self, taken: TakenTrial) -> bool:
        """Records a trial whose run is done or pruned; returns False for any other status."""
        from optuna.trial import TrialState

        run = find_run(self.directory.trial(taken.number))
        try:
            status = run.status if run else {}
            metrics = run.metrics if run else {}
        except InputError as error:
            self._say(taken.number, f"{error}; the trial is run again")
            return False
        value = metrics.get(self.settings.objective)
        if status.get("status") == "pruned":
            self._tell(taken, TrialState.PRUNED, f"pruned: {status.get('reason')}", metrics)
        elif status.get("status") != "done":
            return False
        elif value is None:
            objective, available = self.settings.objective, ", ".join(metrics)
            reason = f"objective={objective}: is not a metric of this run; available: {available}"
            self._fail(taken, reason)
        elif not math.isfinite(value):  # Optuna refuses NaN, and no value is better than infinity
            self._fail(taken, f"objective={self.settings.objective}: is {value}")
        else:
            text = format_metric(self.settings.objective, value)
            message = f"done: {self.settings.objective} {text}"
            self._tell(taken, TrialState.COMPLETE, message, metrics, value)
        return True

    def _fail(self, taken: TakenTrial, reason: str) -> None:
        from optuna.trial import TrialState

        self._tell(taken, TrialState.FAIL, f"failed: {reason}", {"reason": reason})

    def _tell(
        self,
        taken: TakenTrial,
        state: "TrialState",
        message: str,
        facts: Mapping[str, Any],
        value: float | None = None,
    ) -> None:
        from optuna.samplers import RandomSampler
        from optuna.trial import Trial

        self.study.sampler = RandomSampler()  # draws nothing at the end of a trial
        trial = Trial(self.study, self._find(taken.number)._trial_id)
        for name in ("seconds", "reason"):
            if name in facts:
                trial.set_user_attr(name, facts[name])
        self.study.tell(taken.number, value, state)
        self._say(taken.number, message)
        taken.lock.close()

    def _say(self, number: int | None, text: str) -> None:
        """Prints a line about a trial; above a live table, only that of a failure."""
        if self._live is None:
            place = "" if number is None else f"[{number}] "
            print(f"{place}{visible(text)}", flush=True)
        elif text.startswith("failed"):
            print(f"[{number}] {visible(text)}", file=sys.stderr)


def _begun(trials: Sequence["FrozenTrial"]) -> list["FrozenTrial"]:
    """Returns the trials that a driver has taken; others may have been queued by other programs."""
    return [trial for trial in trials if trial.state.name != "WAITING"]
