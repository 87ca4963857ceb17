"""The private names of the installed Lightning do what this package expects of them."""

import logging
import signal
from contextlib import contextmanager
from types import SimpleNamespace

import lightning.pytorch as L
import pytest

from vgg_lit.system.lightning_internals import (
    StoreDDPStrategy,
    SubprocessLauncher,
    disable_signal_handling,
    quieten_lightning,
    wrap_restoring,
)
from vgg_lit.system.operating_system import ENDING


@pytest.fixture
def trainer(tmp_path):
    return L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path,
    )


def test_lightning_installs_no_signal_handlers(trainer):
    before = [signal.getsignal(number) for number in ENDING]
    disable_signal_handling(trainer)
    trainer._signal_connector.register_signal_handlers()
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor()
    assert before == [signal.getsignal(number) for number in ENDING]


def test_tips_are_not_printed():
    quieten_lightning()
    assert not logging.getLogger("lightning.pytorch.utilities.rank_zero").isEnabledFor(logging.INFO)
    assert logging.getLogger("lightning.fabric").isEnabledFor(logging.WARNING)


@pytest.mark.parametrize("name", ["_restore_modules_and_callbacks", "restore_training_state"])
def test_both_steps_of_a_restore_run_in_the_context(name, trainer, monkeypatch):
    def fail(*args):
        raise KeyError("state")

    @contextmanager
    def in_one_line():
        try:
            yield
        except KeyError as error:
            raise ValueError("one line") from error

    monkeypatch.setattr(trainer._checkpoint_connector, name, fail)
    wrap_restoring(trainer, in_one_line)
    with pytest.raises(ValueError, match="one line"):
        getattr(trainer._checkpoint_connector, name)()


@pytest.fixture
def calls():
    return []


@pytest.mark.parametrize("are_started", [True, False], ids=["torchrun", "by this process"])
def test_other_ranks_are_started_unless_a_launcher_has(are_started, calls, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    environment = SimpleNamespace(
        creates_processes_externally=are_started,
        validate_settings=lambda processes, nodes: calls.append(f"validate {processes} {nodes}"),
    )
    monkeypatch.setattr(
        SubprocessLauncher, "_call_children_scripts", lambda self: calls.append("start")
    )
    launcher = SubprocessLauncher(environment, 2, 1, before_start=lambda: calls.append("before"))
    result = launcher.launch(lambda *args, **options: (args, options), 1, trainer=None, x=2)
    assert result == ((1,), {"x": 2})
    assert calls == ["validate 2 1", *([] if are_started else ["before", "start"])]


def test_the_strategy_starts_ranks_by_this_launcher(calls):
    strategy = StoreDDPStrategy(
        find_store=lambda: None,
        before_start=lambda: calls.append("before"),
        process_group_backend="gloo",
    )
    strategy.parallel_devices = ["cpu", "cpu"]
    strategy.cluster_environment = SimpleNamespace(creates_processes_externally=False)
    strategy._configure_launcher()
    assert isinstance(strategy.launcher, SubprocessLauncher)
    assert strategy.launcher.num_processes == 2
    strategy.launcher._before_start()
    assert calls == ["before"]
