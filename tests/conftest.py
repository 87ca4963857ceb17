"""Shared fixtures: composed configs, a tiny training run and command lines."""

import importlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import hydra
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from vgg_lit.config.group_options import config_folder
from vgg_lit.config.hydra_versions import VERSION_BASE
from vgg_lit.config.plain_texts import with_quotes
from vgg_lit.config.resolvers import register_resolvers
from vgg_lit.runs import Run
from vgg_lit.system.launch import STARTS_RANKS

# The test networks are so small that a second thread slows them down, above all on a busy machine.
torch.set_num_threads(1)

if os.environ.get("CI") and sys.platform == "darwin":
    # PyTorch finds the GPU of GitHub's virtual machines, which has no memory. Tests name the CPU to new processes.
    torch.backends.mps.is_available = lambda: False

ROOT = Path(__file__).resolve().parent.parent

# Trains in half a second: 4 steps, 60 validation images, 40 test images.
TINY = (
    "model.width=0.03125",
    "data.train_size=64",
    "data.test_size=40",
    "data.batch_size=16",
    "data.val_fraction=0.01",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
)


class Finished(NamedTuple):
    """The exit code and output of a command."""

    code: int
    out: str
    err: str


DATA_FOLDER = os.environ.get("VGG_LIT_DATA")


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Seeds PyTorch, so that no test depends on the tests before it in its process."""
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def no_data_folder():
    """Hides data sets of the machine from all tests and fixtures that do not use `data_folder`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("VGG_LIT_DATA", raising=False)
        yield


@pytest.fixture
def data_folder() -> Path:
    """The folder of full data sets; skips the test if there is none."""
    if not DATA_FOLDER:
        pytest.skip("needs full data sets; set VGG_LIT_DATA to their folder")
    return Path(DATA_FOLDER)


@pytest.fixture
def any_file_name(tmp_path) -> None:
    """Skips the test where names of files are UTF-8 alone, as on macOS, or Unicode, as on Windows."""
    try:
        probe = tmp_path / os.fsdecode(b"caf\xe9")
        probe.touch()
    except (UnicodeDecodeError, OSError):
        pytest.skip("needs names of files in any encoding")
    probe.unlink()


@pytest.fixture
def set_home(monkeypatch) -> Callable[[str | Path], None]:
    """`set_home(folder)`: sets the home folder of this process, for POSIX and Windows."""

    def set_home(folder: str | Path) -> None:
        for name in ("HOME", "USERPROFILE"):
            monkeypatch.setenv(name, str(folder))

    return set_home


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    return TINY


@pytest.fixture(scope="session")
def compose() -> Callable[..., DictConfig]:
    """`compose("model=vgg16")`: composes the config of a verb, like its command line."""

    def compose(*overrides: str, verb: str = "train") -> DictConfig:
        register_resolvers()
        with hydra.initialize_config_dir(str(config_folder()), **VERSION_BASE):
            return hydra.compose(verb, overrides=with_quotes(overrides))

    return compose


@pytest.fixture(scope="session")
def train(compose) -> Callable[..., Run]:
    """`train(path, "trainer.max_epochs=2")`: trains a tiny run in this process, with all checks."""
    from vgg_lit.config.checks import check_train, to_plain
    from vgg_lit.training.experiment import run_experiment
    from vgg_lit.tuning.trial_of_this_process import TrialOfThisProcess

    def train(path: Path, *overrides: str, base: tuple[str, ...] = TINY) -> Run:
        plain = to_plain(compose(*base, *overrides))
        check_train(plain)
        trial = TrialOfThisProcess.from_environment()
        run_experiment(plain, path, overrides, report=trial.report if trial else None)
        return Run(path)

    return train


@pytest.fixture(scope="session")
def resume(compose) -> Callable[..., Run]:
    """`resume(run, "trainer.max_epochs=4")`: resumes a run in this process."""
    from vgg_lit.config.checks import check_train
    from vgg_lit.training.experiment import run_experiment
    from vgg_lit.training.resuming import resumed_config

    def resume(run: Run, *overrides: str) -> Run:
        plain = resumed_config(run, compose(*overrides), overrides)
        check_train(plain | {"resume": str(run.path)})
        run_experiment(plain, run.path, overrides, run)
        return run

    return resume


_SHARED_RUNS: dict[Path, set[Path]] = {}
"""The directory of `tiny_run` and its files after the training."""


@pytest.fixture(scope="session")
def tiny_run(train, tmp_path_factory) -> Run:
    """A finished run of two epochs. Files that a test adds to its directory are removed after the test."""
    run = train(tmp_path_factory.mktemp("runs") / "tiny", "trainer.max_epochs=2")
    _SHARED_RUNS[run.path] = set(run.path.rglob("*"))
    return run


@pytest.fixture(autouse=True)
def clean_tiny_run() -> Iterator[None]:
    """Removes what the test added to the directory of `tiny_run`, so that no test meets it."""
    yield
    for run, files in _SHARED_RUNS.items():
        for path in sorted(set(run.rglob("*")) - files, reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.fixture
def verb(monkeypatch, capsys) -> Iterator[Callable[..., Finished]]:
    """`verb("train", "seed=x")`: runs a command line in this process."""
    # Hydra adds log handlers that are bound to the standard output of this test.
    handlers, level = list(logging.root.handlers), logging.root.level
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def verb(name: str, *arguments: str) -> Finished:
        module = importlib.import_module(f"vgg_lit.{name}")
        monkeypatch.setattr(sys, "argv", [str(module.__file__), *arguments])
        capsys.readouterr()
        GlobalHydra.instance().clear()
        code = 0
        try:
            module.main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        finally:
            GlobalHydra.instance().clear()
        out, err = capsys.readouterr()
        return Finished(code, out, err)

    yield verb
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture(scope="session")
def command() -> Callable[..., Finished]:
    """`command("train", "seed=x", cwd=folder)`: runs a command line in a separate process."""

    def command(
        name: str, *arguments: str, cwd: Path, timeout: float = 300, **env: str
    ) -> Finished:
        path = os.pathsep.join(filter(None, [env.pop("PYTHONPATH", ""), str(ROOT)]))
        # Trainings in this process set the second variable; with it, a command uses LOCAL_RANK.
        left_out = ("HYDRA_FULL_ERROR", STARTS_RANKS)
        inherited = {k: v for k, v in os.environ.items() if k not in left_out}
        done = subprocess.run(
            [sys.executable, "-m", f"vgg_lit.{name}", *arguments],
            cwd=cwd,
            env={**inherited, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **env},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return command
