"""The plugin that Hydra finds: `hydra/launcher=process`.

python -m vgg_lit.train -m seed=0,1,2,3 hydra.launcher.n_jobs=2
python -m vgg_lit.train -m seed=0,1,2,3 hydra.sweep.dir=<sweep>    # goes on with what is not done

Hydra imports this file whenever it starts, so all that is needed only for a sweep is imported in it.
"""

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ProcessLauncher(Launcher):
    """Runs each job of a sweep as `python -m vgg_lit.train` in a fresh process.

    Nothing that one job does can reach another: not its random state, not the variables that
    distributed training leaves in the environment, not its crash.

    Args:
        n_jobs: jobs at a time.
        grace_seconds: from the signal that ends the sweep until its jobs are killed.
    """

    def __init__(self, n_jobs: int, grace_seconds: float) -> None:
        self.n_jobs = n_jobs
        self.grace_seconds = grace_seconds

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Takes what Hydra gives a launcher, and checks its own settings."""
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
        """Runs a batch of jobs; those of the sweep directory that are done already are skipped.

        Args:
            job_overrides: of each job.
            initial_job_idx: not needed; the sweep directory knows how many jobs it has.
        """
        from vgg_lit.sweeping.batch import SweepBatch

        return SweepBatch(self, job_overrides).run()
