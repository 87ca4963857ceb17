"""Ctrl-C while a command imports its modules ends it silently; other programs keep their handler."""

import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.operating_systems import posix
from vgg_lit.system.early_interrupts import end_on_interrupt, is_command, raise_on_interrupt

SCRIPT = "import sys\nfrom vgg_lit.train import main\nsys.exit(main())\n"


@pytest.fixture
def handler():
    """`handler(signal.SIG_IGN)`: sets the handler of SIGINT; the former one is restored after the test."""
    before = signal.getsignal(signal.SIGINT)
    yield lambda new: signal.signal(signal.SIGINT, new)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("arguments", "original"),
    [
        (["-m", "seed=1"], ["python", "-X", "dev", "-m", "vgg_lit.train", "seed=1"]),
        (["-m"], ["python", "-m", "vgg_lit"]),
        (["-m"], ["python", "-mvgg_lit.tune"]),
        (["/bin/vgg", "train"], ["python", "/bin/vgg", "train"]),
        (["vgg-train.exe", "-m"], ["python", "vgg-train.exe", "-m"]),
    ],
)
def test_commands_are_found(arguments, original):
    assert is_command(arguments, original)


@pytest.mark.parametrize(
    ("arguments", "original"),
    [
        ([""], ["python"]),
        ([], []),
        (["-c"], ["python", "-c", "import vgg_lit"]),
        (["-m"], ["python", "-m", "mine.vgg_lit"]),
        (["-m"], ["python", "-m", "vgg_lit_more"]),
        (["vgg.py"], ["python", "vgg.py"]),
        (["/bin/jupyter"], ["python", "/bin/jupyter"]),
        (["/bin/vgg-train", "a=1"], ["python", "-c", "from multiprocessing.spawn import x", "--x"]),
        (["/lib/pytest/__main__.py"], ["python", "-m", "pytest"]),
    ],
)
def test_other_programs_are_not_commands(arguments, original):
    assert not is_command(arguments, original)


def test_only_a_command_that_does_not_ignore_interrupts_is_changed(handler, monkeypatch):
    handler(signal.default_int_handler)
    end_on_interrupt()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.setattr(sys, "argv", ["vgg-train"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "vgg-train"])
    for given, expected in (
        (signal.default_int_handler, signal.SIG_DFL),
        (signal.SIG_IGN, signal.SIG_IGN),
    ):
        handler(given)
        end_on_interrupt()
        assert signal.getsignal(signal.SIGINT) is expected


def test_interrupts_raise_again_unless_they_are_ignored(handler):
    handler(signal.SIG_DFL)
    raise_on_interrupt()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    handler(signal.SIG_IGN)
    raise_on_interrupt()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@posix
@pytest.mark.parametrize("start", [("-m", "vgg_lit.train"), ("vgg-train",)])
def test_an_interrupt_during_the_imports_prints_nothing(start, tmp_path):
    (tmp_path / "hydra.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    (tmp_path / "vgg-train").write_text(SCRIPT)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *start],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        # in the background of a script the tests ignore SIGINT, and so would the command
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
