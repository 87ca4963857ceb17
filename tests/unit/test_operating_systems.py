"""The test modules are imported on Windows too; tests/windows/sitecustomize.py simulates it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

IMPORTS = """
import importlib, sys
from pathlib import Path
import pytest, sitecustomize

sitecustomize.PROJECT = (*sitecustomize.PROJECT, "conftest", "operating_systems", "test_")
tests, parts = Path(sys.argv[1]), sys.argv[2:]
folders = (path.parent for path in tests.rglob("*.py") if path.parent.name != "windows")
sys.path += map(str, dict.fromkeys([tests.parent / "benchmarks", *folders]))
for path in sorted(path for part in parts for path in (tests / part).rglob("test_*.py")):
    try:
        importlib.import_module(path.stem)
    except pytest.skip.Exception:
        pass
    except (AttributeError, ImportError) as error:
        print(f"{path.name}: {error}")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the simulation needs /proc")
def test_every_test_module_is_imported_on_windows():
    """A name that Windows lacks, such as signal.SIGUSR1 in a decorator, would end the whole test run."""
    places = (TESTS / "windows", TESTS.parent)
    done = subprocess.run(
        [sys.executable, "-B", "-c", IMPORTS, TESTS, "unit", "config", "golden", "numerics"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
