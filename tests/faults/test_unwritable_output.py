"""Output that cannot be written: a training ends as usual, other commands end with one line or silently."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vgg_lit.evaluation.prediction import Prediction
from vgg_lit.evaluation.prediction_report import print_predictions
from vgg_lit.runs import Run
from vgg_lit.tables import print_facts, print_metrics, print_rows

ROOT = Path(__file__).resolve().parents[2]
PYTHON = f"{sys.executable} -m"
EPOCHS = 3


@pytest.fixture
def shell(tmp_path):
    """`shell("... | head")`: exit codes of the pipeline, output and errors of a line of bash."""

    def shell(line):
        env = {k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"}
        env |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        script = f"{line}\necho ${{PIPESTATUS[@]}} > codes"
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        codes = [int(code) for code in (tmp_path / "codes").read_text().split()]
        return codes, done.stdout, done.stderr

    return shell


def training(tiny, *more):
    words = (*tiny, f"trainer.max_epochs={EPOCHS}", "logger=none", "hydra.run.dir=run", *more)
    return f"{PYTHON} vgg_lit.train {' '.join(words)}"


@pytest.mark.parametrize(
    "redirection",
    [
        "2>&1 | head -n 1",
        ">&-",
        "> /dev/full",
        pytest.param("> /dev/full 2> /dev/full", marks=pytest.mark.slow),
        pytest.param("<&- >&- 2>&-", marks=pytest.mark.slow),
        pytest.param("| (sleep 1; exit)", marks=pytest.mark.slow),
        pytest.param("trainer.devices=2 | head -n 1", marks=pytest.mark.slow),
    ],
)
def test_a_training_without_readers_ends_as_usual(redirection, shell, tiny, tmp_path):
    codes, _, errors = shell(f"{training(tiny)} {redirection}")
    assert codes[0] == 0, errors
    run = Run(tmp_path / "run")
    assert run.status["status"] == "done"
    assert len(run.epochs()) == EPOCHS
    assert "test/acc" in run.metrics
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


@pytest.mark.parametrize("is_terminal", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_training_continues_after_a_hangup(is_terminal, tiny, tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    master, terminal = pty.openpty()
    output = terminal if is_terminal else subprocess.PIPE
    process = subprocess.Popen(
        training(tiny).split(), cwd=tmp_path, env=env, stdout=output, stderr=output, stdin=terminal
    )
    os.close(terminal)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run/checkpoints/last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    if process.stdout:
        process.stdout.close()
    os.close(master)
    process.send_signal(signal.SIGHUP)
    assert process.wait(120) == 0
    assert Run(tmp_path / "run").status["status"] == "done"


@pytest.mark.parametrize(
    "command", ["train --help", "summarize --help", "summarize model=vgg16 data.image_size=64"]
)
def test_a_closed_pipe_ends_a_command_silently(command, shell):
    codes, _, errors = shell(f"{PYTHON} vgg_lit.{command} | true")
    assert codes == [141, 0], errors
    assert errors == ""


def test_the_list_of_commands_ends_silently(shell):
    codes, out, errors = shell(f"{PYTHON} vgg_lit --help | head -n 1")
    assert (codes, errors) in (([141, 0], ""), ([0, 0], ""))
    assert out.startswith("Usage: ")


def test_a_table_on_a_full_disk_is_one_line(shell):
    codes, _, errors = shell(f"{PYTHON} vgg_lit.summarize model=vgg16 > /dev/full")
    assert codes == [1]
    assert errors == "error: standard output: cannot be written: No space left on device\n"


def test_an_epoch_is_saved_before_its_line_is_printed(shell, tiny, tmp_path):
    count = (
        r'while read line; do case "$line" in epoch*) cp run/metrics.csv rows; break;; esac; done'
    )
    saved = "ls run/checkpoints > files"
    shell(f"{training(tiny)} | ({count}; {saved})")
    assert "last.ckpt" in (tmp_path / "files").read_text()
    assert len((tmp_path / "rows").read_text().splitlines()) >= 2
    assert Run(tmp_path / "run").status["status"] == "done"


HOSTILE = "a\x1b[2Jb\x07\r\n\x9b\u202ec\udc80"


def test_tables_and_facts_show_escapes(capsys):
    print_facts({"run": HOSTILE})
    print_metrics({f"val/{HOSTILE}": 1.0}, title=HOSTILE)
    print_predictions([Prediction(HOSTILE, [(HOSTILE, 0.5)])])
    print_rows([{"name": HOSTILE, HOSTILE: "x"}], title=HOSTILE)
    out = capsys.readouterr().out
    assert out.count("\\x1b") >= 7
    assert not set(out) & {"\x1b", "\x07", "\r", "\x9b", "\u202e", "\udc80"}


def test_errors_and_warnings_show_escapes(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = verb("evaluate", "run='x\x1b[2Jy'")
    assert done.code == 2
    assert "\\x1b[2J" in done.err
    assert "\x1b" not in done.err
