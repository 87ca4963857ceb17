"""Commands print help without torch, and their first line before its import."""

import subprocess
import sys
from pathlib import Path

import pytest

from vgg_lit.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[3]
SLOW = {
    *("torch", "torchvision", "lightning", "torchmetrics", "matplotlib", "numpy", "PIL"),
    *("optuna", "scipy", "sklearn", "pandas", "tensorboard"),
}
"""Packages that take long to import."""

IN_A_NEW_PROCESS = f"""
import importlib, os, sys

SLOW = {SLOW!r}

class Stop:
    '''Ends the process instead of importing torch; the announcement is printed first.'''

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "torch":
            print("imported:", *sorted(SLOW & set(sys.modules)), flush=True)
            os._exit(0)

sys.meta_path.insert(0, Stop)
"""


def outcome(code: str, tmp_path: Path, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", IN_A_NEW_PROCESS + code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_help_needs_none_of_the_slow_packages(tmp_path):
    names = [name for name in COMMANDS if name not in ("torchrun", "new", "cache")]
    code = f"""
for name in {names}:
    sys.argv = [name, "--help"]
    importlib.import_module("vgg_lit." + name).main()
    assert not SLOW & set(sys.modules), (name, SLOW & set(sys.modules))
"""
    done = outcome(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Examples") == len(names)
    assert "imported:" not in done.stdout


@pytest.mark.parametrize("name", ["train", "summarize", "preview"])
def test_the_first_line_comes_before_the_slow_packages(name, tmp_path):
    code = f"sys.argv = ['{name}']; importlib.import_module('vgg_lit.{name}').main()"
    done = outcome(code, tmp_path)
    assert done.stdout == f"{name}: loading torch ...\nimported:\n", done.stderr


@pytest.mark.parametrize("override", ["trainer.max_epochs=0", "model=vgg99", "seed=x", "find_lr=3"])
def test_errors_of_the_config_come_before_the_first_line(override, tmp_path):
    code = f"sys.argv = ['', '{override}']; importlib.import_module('vgg_lit.train').main()"
    done = outcome(code, tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert override.partition("=")[0] in done.stderr


def test_a_process_with_several_commands_prints_one_line(tmp_path):
    code = """
from vgg_lit.system.first_line import announce_torch
for command in ("train", "train", "compare"):
    announce_torch(command)
import torch
"""
    assert outcome(code, tmp_path).stdout == "compare: loading torch ...\nimported:\n"


def test_jobs_of_a_sweep_and_other_ranks_print_no_first_line(tmp_path):
    code = """
from vgg_lit.system.first_line import announce_torch
announce_torch("train")
import torch
"""
    assert outcome(code, tmp_path).stdout == "train: loading torch ...\nimported:\n"
    for variables in ({"VGG_LIT_SWEEP_JOB": "1"}, {"LOCAL_RANK": "1"}):
        assert outcome(code, tmp_path, **variables).stdout == "imported:\n"
