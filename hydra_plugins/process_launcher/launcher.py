"""The Hydra plugin of `hydra/launcher=process`.

python -m vgg_lit.train -m seed=0,1,2,3 hydra.launcher.n_jobs=2
python -m vgg_lit.train -m seed=0,1,2,3 hydra.sweep.dir=<sweep>    # resumes unfinished jobs

Hydra imports this file at every start, so imports that only a sweep needs are inside functions.
"""

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ProcessLauncher(Launcher):
    """Runs each job of a sweep as `python -m vgg_lit.train` in a fresh process.

    Jobs are isolated: the random state, the environment variables of distributed training and a crash
    of one job do not affect the others.

    Args:
        n_jobs: number of jobs that run in parallel.
        grace_seconds: time from the signal that ends the sweep until its jobs are killed.
    """

    def __init__(self, n_jobs: int, grace_seconds: float) -> None:
        self.n_jobs = n_jobs
        self.grace_seconds = grace_seconds

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Stores the arguments from Hydra, and checks the settings of the launcher."""
        from vgg_lit.config.checks import check_section
        from vgg_lit.config.schema import ProcessLauncherSettings

        settings = {"n_jobs": self.n_jobs, "grace_seconds": self.grace_seconds}
        check_section(settings, ProcessLauncherSettings, "hydra.launcher")
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Runs a batch of jobs; skips those that are already done in the sweep directory.

        Args:
            job_overrides: overrides of each job.
            initial_job_idx: unused; jobs are numbered by the sweep directory.
        """
        from vgg_lit.sweeping.batch import SweepBatch

        return SweepBatch(self, job_overrides).run()
