"""Runs commands under a user that may not write to the folders of another.

python rights.py < commands.json     # prints the exit code and the errors of each command, as JSON
"""

import contextlib
import importlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USER = "12345"  # has no name and no home folder


def run_as_another(
    commands: Sequence[Sequence[str]], cwd: Path, **env: str
) -> list[tuple[int, str]]:
    """Runs commands in one process, without HOME; returns the exit code and the errors of each.

    Root runs them under another user, who can read all files; other users run them as themselves.
    """
    words = [sys.executable, __file__]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("needs setpriv, to run as a user without rights")
        rights = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
        words = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", *rights, *words]
        os.chown(cwd, int(USER), int(USER))
        if subprocess.run([*words[:-2], "true"], capture_output=True).returncode:
            pytest.skip("this container does not allow another user")
    hidden = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CACHE_HOME", "HYDRA_FULL_ERROR")
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        words,
        input=json.dumps(commands),
        cwd=cwd,
        env={**inherited, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **env},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [tuple(outcome) for outcome in json.loads(done.stdout)]


def _run(name: str, *arguments: str) -> tuple[int, str]:
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    sys.argv = [name, *arguments]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            importlib.import_module(f"vgg_lit.{name}").main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        except BaseException as error:
            code, _ = 1, print(f"Traceback {error!r}", file=err)
    return code, err.getvalue()


if __name__ == "__main__":
    print(json.dumps([_run(*command) for command in json.load(sys.stdin)]))
