"""A batch of jobs of a sweep: selects, runs and records them."""

import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import JobReturn, env_override
from hydra.core.utils import JobStatus as HydraStatus
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from vgg_lit.config.checks import check_train, to_plain
from vgg_lit.config.command import GuardedTask, config_flags, inherited_overrides, trusting
from vgg_lit.errors import EXIT_BAD_INPUT, InputError, one_line
from vgg_lit.launching.job_process import (
    JobProcess,
    Signals,
    count_job_processes,
    job_environment,
    machine_shares,
)
from vgg_lit.launching.pool import Pool, record_failure
from vgg_lit.runs import prepare_attempt
from vgg_lit.sweeps import Job, JobStatus, Sweep
from vgg_lit.system.files import remove_unfinished
from vgg_lit.system.operating_system import quoted
from vgg_lit.system.overrides import as_overrides, pasteable
from vgg_lit.system.terminal import visible
from vgg_lit.tables import format_metric, print_facts, print_rows

if TYPE_CHECKING:
    from hydra_plugins.process_launcher.launcher import ProcessLauncher


@dataclass
class JobResult(JobReturn):
    """The result of a job. A failed one returns None; Hydra's JobReturn would raise and end the sweep."""

    @property  # type: ignore[misc]
    def return_value(self) -> Any:
        """The objective; None if the job is not done."""
        return self._return_value


class SweepBatch:
    """Jobs of a sweep; the launcher limits the number of parallel jobs.

    Args:
        launcher: launcher after its `setup`.
        job_overrides: overrides of each job; jobs with equal overrides run once.
    """

    def __init__(self, launcher: "ProcessLauncher", job_overrides: Sequence[Sequence[str]]) -> None:
        self.launcher = launcher
        self.sweep = Sweep(launcher.config.hydra.sweep.dir)
        self.signals = Signals()
        self.shares = machine_shares(launcher.n_jobs)
        self.pool: Pool[Job] = Pool(self.shares, self.signals, launcher.grace_seconds)
        self.job_overrides = job_overrides
        self.jobs: list[Job] = []
        self.configs: dict[int, DictConfig] = {}  # by the job's number

    def run(self) -> list[JobResult]:
        """Runs unfinished jobs, prints a table, and passes the errors to the command.

        Raises:
            InputError: another sweep is running in the directory, or two jobs have one directory.
            SystemExit: a signal has ended the sweep.
        """
        task = self.launcher.task_function
        assert isinstance(task, GuardedTask)
        task.is_composed = True
        with self.sweep.lock() as lock, self.signals:
            jobs = [self._plan(overrides) for overrides in self.job_overrides]
            self.jobs = list({job.number: job for job in jobs}.values())
            waiting = [job for job in self.jobs if self._is_to_run(job)]
            remove_unfinished(self.sweep.path)
            self.sweep.write()
            self._run(waiting, lock)
        self._report(task)
        if self.signals.received:
            raise SystemExit(128 + self.pool.ending_signal)
        return [self._result(job) for job in jobs]

    def _plan(self, overrides: Sequence[str]) -> Job:
        """Finds or adds the job with these overrides.

        Raises:
            InputError: a new job has the directory of another one, or one outside the sweep.
        """
        load = self.launcher.hydra_context.config_loader.load_sweep_config
        config = load(self.launcher.config, list(overrides))
        job = self.sweep.find(overrides)
        number = job.number if job else self.sweep.next_number()
        with open_dict(config):
            config.hydra.job.num = number
            config.hydra.job.id = str(number)
        self.configs[number] = config
        return job or self._add(overrides, str(config.hydra.sweep.subdir))

    def _add(self, overrides: Sequence[str], directory: str) -> Job:
        users = {
            self.sweep.directory(other): other.number
            for other in self.sweep.jobs
            if other.status != "refused"  # it has written nothing there
        }
        job = self.sweep.add(overrides, directory)
        if (user := users.get(self.sweep.directory(job))) is not None:
            raise InputError(
                f"hydra.sweep.subdir={directory}: jobs {user} and {job.number} would have the same "
                "directory; give each its own, for example with ${hydra.job.num} in the name"
            )
        return job

    def _is_to_run(self, job: Job) -> bool:
        """Returns True if a job is neither done nor refused; otherwise prints the reason."""
        another = self._other_job(job)
        if another or not self._is_done(job):
            job.metrics, job.objective = {}, None
            job.reason = another or self._refusal(self.configs[job.number])
            job.status = "refused" if job.reason else "waiting"
        if job.status != "waiting":
            self._say(job, f"refused: {job.reason}" if job.reason else "already done")
        return job.status == "waiting"

    def _other_job(self, job: Job) -> str | None:
        """Returns an error message if the directory of a job has the run of another one."""
        try:
            self.sweep.check_run(job)
        except InputError as error:
            return one_line(error)
        return None

    def _is_done(self, job: Job) -> bool:
        """Returns True if the job's run is done; then copies its metrics to the job."""
        run = self.sweep.run(job)
        if run is None or not run.is_done():
            return False
        job.metrics = run.metrics
        job.status, job.reason = "done", None
        job.objective = job.metrics.get(self.configs[job.number].objective)
        return True

    def _refusal(self, config: DictConfig) -> str | None:
        """Returns the problem of a job's config that can be found before it starts, or None."""
        try:
            plain = to_plain(config, without="hydra")
            if plain["resume"]:
                raise InputError(
                    f"resume={plain['resume']}: resumes one run; to resume a sweep, repeat its command "
                    "with hydra.sweep.dir=<sweep directory>"
                )
            with env_override({k: v for k, v in self.shares[0].items() if k.startswith("CUDA")}):
                checked = check_train(plain, config.hydra.overrides.task)
            if checked.trainer.get("num_nodes", 1) != 1:
                raise InputError(
                    f"trainer.num_nodes={checked.trainer['num_nodes']}: the jobs of a sweep run on "
                    "one machine; allowed: 1"
                )
        except (InputError, OmegaConfBaseException) as error:
            return one_line(error)
        except Exception:  # a custom network that cannot be built; its job reports the error
            return None
        return None

    def _run(self, waiting: list[Job], lock: Sequence[int]) -> None:
        """Runs the waiting jobs until all have ended, or a signal has ended them."""

        def start(share: Mapping[str, str]) -> tuple[Job, JobProcess] | None:
            job = waiting.pop(0)
            try:
                return job, self._start(job, share, lock)
            except OSError as error:
                self._record(job, "failed", f"cannot be started: {error}")
                return None

        self.pool.run(lambda: bool(waiting), start, self._finish)

    def _start(self, job: Job, share: Mapping[str, str], lock: Sequence[int]) -> JobProcess:
        directory = self.sweep.directory(job)
        is_resumed = prepare_attempt(directory)
        self._say(job, f"{'resumes in' if is_resumed else 'starts in'} {directory}")
        self._record(job, "running")
        devices = self.configs[job.number].trainer.get("devices", 1)
        return JobProcess(
            self._command(job, is_resumed),
            env=job_environment(share, processes=count_job_processes(devices)),
            log=directory / "log.txt",
            prefix=f"[{job.number}] ",
            inherited=lock,
        )

    def _command(self, job: Job, is_resumed: bool) -> list[str]:
        """Returns the command of a job.

        A resumed run reads its settings from its directory, except `trusted_targets`.
        """
        command = [sys.executable, "-m", "vgg_lit.train", *config_flags(self.launcher.config.hydra)]
        directory = QuotedString(str(self.sweep.directory(job)), Quote.single).with_quotes()
        if is_resumed:
            return [*command, f"resume={directory}", *trusting(self.configs[job.number])]
        of_hydra = inherited_overrides(self.launcher.config.hydra)
        return [*command, *job.overrides, *of_hydra, f"hydra.run.dir={directory}"]

    def _finish(self, job: Job, process: JobProcess, code: int) -> None:
        """Records the result of a job; a failure also in the job's directory, if the job could not."""
        job.seconds += process.seconds
        job.exit_code = code if code >= 0 else None
        job.signal = signal.Signals(-code).name if code < 0 else None
        if self._is_done(job):
            self._say(job, f"done in {job.seconds:.1f} s")
            self._record(job, "done")
        else:
            self._record(job, *self._failure(job, process, code))

    def _record(self, job: Job, status: JobStatus, reason: str | None = None) -> None:
        """Records the status of a job in `sweep.json`.

        A full disk does not end the sweep: `status.json` of each run has the same information.
        """
        job.status, job.reason = status, reason
        if reason:
            self._say(job, f"{status}: {reason}")
        try:
            self.sweep.write()
        except OSError as error:
            self._say(job, f"not recorded: {error}")

    def _failure(self, job: Job, process: JobProcess, code: int) -> tuple[JobStatus, str]:
        """Returns the status and reason of a job that ended and is not done."""
        if code == EXIT_BAD_INPUT:
            return "refused", process.last_line
        return record_failure(
            self.sweep.directory(job), process, code, is_asked=bool(self.signals.received)
        )

    def _say(self, job: Job, text: str) -> None:
        print(f"[{job.number}] {visible(f'{self.sweep.label(job)}: {text}')}", flush=True)

    def _report(self, task: GuardedTask) -> None:
        """Passes the errors to the command; prints a table and the next commands if a job has begun."""
        if any(self.sweep.directory(job).is_dir() for job in self.sweep.jobs):
            self._print_summary()
        for job in self.jobs:
            log = self.sweep.directory(job) / "log.txt"
            place = f"; see {log}" if log.is_file() else ""
            message = f"job {job.number}, {self.sweep.label(job)}: {job.reason}{place}"
            if job.status == "refused":
                task.refused.append(message)
            elif job.status == "failed" or (
                job.status == "preempted" and not self.signals.received
            ):
                task.failed.append(message)

    def _print_summary(self) -> None:
        config = self.launcher.config
        print_rows([self._row(job) for job in self.sweep.jobs], title=f"sweep {self.sweep.path}")
        if any(job.status != "done" for job in self.jobs):
            typed = [*config.hydra.overrides.task, *config.hydra.overrides.hydra]
            again = [
                word for word in typed if not word.startswith(("hydra.sweep.dir=", "hydra.mode="))
            ]
            again += as_overrides({"hydra.sweep.dir": str(self.sweep.path)})
            print_facts({"resume": quoted(["python", "-m", "vgg_lit.train", "-m", *again])})
        if sum(job.status == "done" for job in self.sweep.jobs) > 1:
            trusted = config.get("trusted_targets")
            needed = {"trusted_targets": list(trusted)} if trusted else {}
            print_facts({"compare": pasteable("compare", {"runs": str(self.sweep.path), **needed})})

    def _row(self, job: Job) -> dict[str, str]:
        shown = dict.fromkeys([self.launcher.config.objective, "test/acc"])
        return {
            "job": str(job.number),
            "overrides": self.sweep.label(job),
            "status": job.status,
            **{
                name: format_metric(name, job.metrics[name]) if name in job.metrics else ""
                for name in shown
            },
            "seconds": f"{job.seconds:.1f}",
            **({"directory": job.directory} if self._has_other_names() else {}),
        }

    def _has_other_names(self) -> bool:
        """Returns True if the folder of a job is not named by its number."""
        return any(job.directory != str(job.number) for job in self.sweep.jobs)

    def _result(self, job: Job) -> JobResult:
        config = self.configs[job.number]
        result = JobResult(
            overrides=job.overrides,
            cfg=OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]),
            hydra_cfg=OmegaConf.masked_copy(config, "hydra"),
            status=HydraStatus.COMPLETED if job.status == "done" else HydraStatus.FAILED,
        )
        result._return_value = job.objective
        return result
