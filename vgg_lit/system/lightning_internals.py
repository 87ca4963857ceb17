"""Every use of Lightning's private API, with the Lightning version and issue that made it necessary.

Checked with Lightning 2.6.6. When Lightning is updated, this is the module to read first.
"""

import logging
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import lightning.pytorch as L
import torch.distributed as dist
from lightning.fabric.utilities.distributed import _init_dist_connection
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from lightning.pytorch.strategies.launchers.subprocess_script import _set_num_threads_if_needed
from torch.nn import Module
from torch.nn.parallel import DistributedDataParallel


def quieten_lightning() -> None:
    """Silences Lightning's tips and its device report; the header of a run shows the devices."""
    for package in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(package).setLevel(logging.WARNING)
    # Raised by Lightning 2.6 with torch 2.15 in each batch transfer; users cannot act on it.
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
    # `explain_restoring` names the callbacks in one line.
    warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`")
    # A login node has srun, and a run there without srun is correct.
    warnings.filterwarnings("ignore", message="The `srun` command is available")


def disable_signal_handling(trainer: L.Trainer) -> None:
    """Removes Lightning's signal handlers, which `vgg_lit.system.ending_signals` replaces.

    Lightning 2.6 broadcasts within its SIGTERM handler and hangs (issue 20806); to notice the signal,
    every rank waits for the device in every step (issue 21487).
    """
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]


def restore_loader_position(trainer: L.Trainer) -> None:
    """Restores the data loader's position from a resumed checkpoint.

    Lightning 2.6 does so when it builds the loaders, but `estimated_stepping_batches`, which the
    schedule needs, builds them before the checkpoint is read.
    """
    trainer.fit_loop._load_combined_loader_states()


def log_epoch(trainer: L.Trainer) -> None:
    """Logs the training metrics of the current epoch, on all ranks together.

    Lightning 2.6 logs them after all callbacks. A run that ends once its epoch is saved would lose them,
    and a resumed run would not log them either.
    """
    connector, epoch_loop = trainer._logger_connector, trainer.fit_loop.epoch_loop
    epoch_loop._batches_that_stepped -= 1  # as in Lightning: the step of the epoch's last batch
    connector.log_metrics(connector.metrics["log"])
    epoch_loop._batches_that_stepped += 1

    def only_reset() -> None:
        del connector.update_train_epoch_metrics  # restores the method
        connector.reset_results()

    connector.update_train_epoch_metrics = only_reset  # type: ignore[method-assign]


def is_validated(trainer: L.Trainer) -> bool:
    """Returns True if the current epoch has been validated, at its end or within it.

    Lightning 2.6 counts the batches of these validations and has no attribute for it. A resumed run restores
    the count, so that it may be True in its first epoch, which has no validation metrics then.
    """
    return trainer.fit_loop.epoch_loop.val_loop.batch_progress.total.completed > 0


def is_between_steps(trainer: L.Trainer) -> bool:
    """Returns True if an optimiser step has just ended and the same epoch has more steps."""
    loop = trainer.fit_loop
    return not (loop._should_accumulate() or loop.epoch_loop._is_training_done)


def ends_within_epoch(trainer: L.Trainer) -> bool:
    """Returns True if an optimiser step has just ended that is the last of the training, but not of its epoch.

    Lightning 2.6 counts an incomplete last epoch as complete.
    """
    loop = trainer.fit_loop
    if loop._should_accumulate() or loop.epoch_loop._num_ready_batches_reached():
        return False
    is_max_step = loop.epoch_loop._is_training_done
    return is_max_step or (trainer.should_stop and loop._can_stop_early)


def is_accumulating(trainer: L.Trainer) -> bool:
    """Returns True if a batch has just ended without an optimiser step."""
    return trainer.fit_loop._should_accumulate()


def wrap_restoring(trainer: L.Trainer, context: Callable[[], AbstractContextManager[None]]) -> None:
    """Runs the two steps in which Lightning restores a training state within `context()`.

    Lightning 2.6 has no hook around them; `context` turns their exceptions into one line.
    """
    connector = trainer._checkpoint_connector
    restore_before, restore_after = (
        connector._restore_modules_and_callbacks,
        connector.restore_training_state,
    )

    def restore_modules_and_callbacks(*args: Any, **kwargs: Any) -> None:
        with context():
            restore_before(*args, **kwargs)

    def restore_training_state() -> None:
        with context():
            restore_after()

    connector._restore_modules_and_callbacks = restore_modules_and_callbacks  # type: ignore[method-assign]
    connector.restore_training_state = restore_training_state  # type: ignore[method-assign]


class SubprocessLauncher(_SubprocessScriptLauncher):
    """Starts the other ranks of this machine and leaves watching them to the caller.

    Lightning's own launcher (2.6) checks every five seconds and kills all ranks, rank 0 included, so that
    nothing can be reported or saved.

    Args:
        before_start: called before the other ranks are started.
    """

    def __init__(self, *args: Any, before_start: Callable[[], None]) -> None:
        super().__init__(*args)
        self._before_start = before_start

    def launch(
        self,
        function: Callable,
        *args: Any,
        trainer: L.Trainer | None = None,
        **kwargs: Any,
    ) -> Any:
        """Starts the other ranks unless a launcher has started them, then calls `function`."""
        self.cluster_environment.validate_settings(self.num_processes, self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            self._before_start()
            self._call_children_scripts()
        _set_num_threads_if_needed(num_processes=self.num_processes)
        return function(*args, **kwargs)


class StoreDDPStrategy(DDPStrategy):
    """DDP whose ranks connect through a given store, and are started by `SubprocessLauncher`.

    Without a store, torch uses the store of the launcher, which after a restart still holds addresses of
    ranks that have ended.

    Args:
        find_store: returns the store; None for Lightning's default.
        before_start: called before the other ranks of this machine are started.
        options: as for `DDPStrategy`.
    """

    def __init__(
        self,
        find_store: Callable[[], dist.Store | None],
        before_start: Callable[[], None],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._find_store = find_store
        self._before_start = before_start

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None
        self._launcher = SubprocessLauncher(
            self.cluster_environment,
            self.num_processes,
            self.num_nodes,
            before_start=self._before_start,
        )

    def _setup_model(self, model: Module) -> DistributedDataParallel:
        # Lightning (2.6) wraps the network in another CUDA stream than that of the steps: each gradient
        # would wait for it, and torch warns of it in the first backward pass.
        device_ids = self.determine_ddp_device_ids()
        wrapped = DistributedDataParallel(model, device_ids=device_ids, **self._ddp_kwargs)
        # To measure itself, torch (2.15) waits for the device in the first 10 steps and in every 100th.
        wrapped._set_ddp_runtime_logging_sample_rate(2**31 - 1)
        return wrapped

    def setup_distributed(self) -> None:
        """Connects the ranks."""
        if store := self._find_store():
            assert self.cluster_environment is not None
            self._process_group_backend = self._get_process_group_backend()
            device = self.root_device if self.root_device.type != "cpu" else None
            _init_dist_connection(
                self.cluster_environment,
                self._process_group_backend,
                store=store,
                timeout=self._timeout,
                device_id=device,
            )
        super().setup_distributed()
