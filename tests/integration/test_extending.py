"""The examples of docs/extending.md run from an empty folder, with the wheel installed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from vgg_lit.runs import Run

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/extending.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, text in BLOCKS if language == "bash" for line in text.splitlines()]
# The last section uses most examples at once.
*SINGLE, TOGETHER = COMMANDS
LENGTHS = {
    **{
        "my_network.py": 20,
        "my_data.py": 30,
        "my_module.py": 30,
        "my_augmentation.py": 20,
        "my_callback.py": 20,
    },
    **{"my_loss.py": 15, "my_weights.py": 15, "my_metric.py": 15},
}


def files():
    """Yields the name, from its first comment, and the text of every file in the document."""
    for language, text in BLOCKS:
        if language in ("python", "yaml"):
            yield re.search(r"^# ([\w/]+\.(?:py|yaml))$", text, re.MULTILINE)[1], text


@pytest.fixture
def project(tmp_path):
    """A folder with the document's files, except the settings of its last section."""
    for name, text in files():
        if name != "conf/local/default.yaml":
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def run(project, installed, tiny):
    """Runs a command of the document in the project and returns its output."""
    env = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    # for the embedded sample and VGG only: other data and networks have other sizes
    for_data = {"data.train_size=64", "data.test_size=40", "data.batch_size=16"}
    for_model = {"model.width=0.03125"}

    def run(line, *more):
        python, *words = shlex.split(line)
        assert python == "python"
        if "vgg_lit.train" in words:
            is_own = {"data=stripes", "data=halves"} & set(words)
            without = (for_data if is_own else set()) | (
                for_model if "model=residual" in words else set()
            )
            if "data=halves" in words:
                without |= {"data.val_fraction=0.01"}
            words += [setting for setting in tiny if setting not in without]
        command = [sys.executable, *words, *more]
        done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def directory(out):
    """The run directory that a training printed."""
    return re.search(r"^run +(\S+)$", out, re.MULTILINE)[1]


def test_the_examples_are_short():
    shown = dict(files())
    assert set(LENGTHS) < set(shown)
    for name, most in LENGTHS.items():
        code = [line for line in shown[name].splitlines() if line.strip()]
        assert len(code) < most, name


def test_all_examples_together_train(project, run):
    settings = project / "conf/local/default.yaml"
    settings.parent.mkdir()
    settings.write_text(dict(files())["conf/local/default.yaml"])
    run(COMMANDS[2])
    out = run(TOGETHER, "trainer.max_epochs=3", "callbacks.stop_at.accuracy=0")
    trained = Run(project / directory(out))
    assert trained.status["status"] == "done"
    assert len(trained.metrics_file.read_text().splitlines()) == 2, "stops after the first epoch"
    config = trained.config
    assert config["model"]["_target_"] == "my_network.Residual"
    assert config["data"]["source"]["_target_"] == "my_data.Arrays"
    assert config["augment"]["negative"]["_target_"] == "my_augmentation.Negative"
    assert config["loss"]["_target_"] == "my_loss.Focal"
    assert {"val/macro_f1", "test/objective_loss"} <= set(trained.metrics)


@pytest.mark.slow
def test_each_command_of_the_document_runs(project, run):
    trained = ""
    for line in SINGLE:
        out = run(line.replace("<run>", trained))
        if "vgg_lit.train" in line:
            trained = directory(out)
            assert Run(project / trained).status["status"] == "done"
    assert (project / "preview.png").is_file()


@pytest.mark.slow
def test_the_stripes_example_learns(run):
    run(COMMANDS[2])
    out = run(COMMANDS[3], "trainer.max_epochs=5", "model.width=0.125", "data.val_fraction=0.1")
    accuracy = re.search(r"test/acc\W+([\d.]+) %", out)
    assert float(accuracy[1]) > 90
