"""Names of classes and files that the locale cannot write: commands run, and show them escaped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vgg_lit.runs import Run

ROOT = Path(__file__).resolve().parents[2]

CLASSES = ("-rf", "é", "日本")

# Runs commands one after the other in one process; prints their exit codes.
COMMANDS = """
import importlib, json, sys
codes = []
for name, *arguments in json.loads(sys.argv[1]):
    sys.argv = [name, *arguments]
    try:
        importlib.import_module(f"vgg_lit.{name}").main()
        codes.append(0)
    except SystemExit as stop:
        codes.append(stop.code)
print(json.dumps(codes))
"""

LOCALES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "POSIX, no HOME": {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii", "HOME": None},
}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locales")
@pytest.mark.slow  # two processes with seven commands each
@pytest.mark.parametrize("locale", LOCALES)
def test_commands_run_in_a_locale_without_these_names(locale, named_classes, tiny, tmp_path):
    named_classes(*CLASSES)
    data = ["data=image_folder", "data.root=images", "data.image_size=32"]
    sizes = ["data.train_size=16", "data.test_size=null", "data.val_fraction=0.3"]
    extra = ["callbacks=[default,tensorboard]", "metrics=confusion"]
    commands = [
        ("train", *tiny, *data, *sizes, *extra, "hydra.run.dir=run"),
        ("evaluate", "run=run", "accelerator=cpu"),
        ("predict", "run=run", "images=images", "accelerator=cpu"),
        ("visualize", "run=run", "accelerator=cpu"),
        ("export", "run=run", "formats=[safetensors]"),
        ("train", "resume=run", "trainer.max_epochs=2"),
        ("preview", *data, "images=1", "epochs=1"),
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **LOCALES[locale]}
    env["VGG_LIT_CACHE"] = str(tmp_path / "cache")
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(commands)],
        cwd=tmp_path,
        env={name: value for name, value in env.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0] * len(commands), done.stderr
    assert "Traceback" not in done.stderr
    run = Run(tmp_path / "run")
    assert run.is_done()
    table = (run.path / "predictions.csv").read_text(encoding="utf-8")
    # In the first locale, Python reads the names of files as bytes.
    shown = ("\\xc3\\xa9", "\\xe6\\x97\\xa5") if locale == "C" else ("é", "日本")
    assert all(name in table for name in ("-rf", *shown)), table
