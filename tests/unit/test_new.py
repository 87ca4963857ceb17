"""The starter: its files, its names, and everything in it runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from operating_systems import posix

from vgg_lit import new
from vgg_lit.errors import InputError
from vgg_lit.system.operating_system import quoted

ROOT = Path(new.__file__).resolve().parents[1]


def test_the_files_name_the_package(tmp_path):
    assert new.write_starter(tmp_path / "My-Project") == "my_project"
    files = [file for file in (tmp_path / "My-Project").rglob("*") if file.is_file()]
    names = {file.relative_to(tmp_path / "My-Project").as_posix() for file in files}
    assert {"README.md", "my_project/network.py", "conf/experiment/first.yaml"} <= names
    assert "tests/test_first.py" in names
    assert not [file for file in files if "{package}" in file.read_text()]
    assert not [name for name in names if name.endswith(".txt")]


@pytest.mark.parametrize("name", ["torch", "3d", "class", "---"])
def test_names_that_are_no_package_are_refused(name, tmp_path):
    with pytest.raises(InputError, match=name):
        new.write_starter(tmp_path / name)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("class", "class is a keyword of Python; choose another name"),
        ("torch", "there is already a package torch; choose another name"),
        *(
            (name, f"{name.lower()} in a config is a value, not a name; choose another name")
            for name in ("on", "off", "yes", "No", "true", "False", "null", "nan")
        ),
        ("3d", "its name is not that of a package; allowed: letters, digits and underscores, "),
    ],
)
def test_a_refused_name_has_its_reason(name, message, tmp_path):
    with pytest.raises(InputError) as error:
        new.write_starter(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: {message}")


def test_a_folder_with_files_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_text("x")
    with pytest.raises(InputError, match="is not an empty folder"):
        new.write_starter(tmp_path / "mine")


def test_an_empty_folder_is_filled(tmp_path, monkeypatch):
    (tmp_path / "empty_folder").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert new.write_starter(Path("empty_folder")) == "empty_folder"
    assert (tmp_path / "empty_folder" / "README.md").is_file()


def test_usage(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["new"])
    with pytest.raises(SystemExit) as stop:
        new.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: Usage: vgg new <folder>\n"


@posix
def test_an_unknown_user_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["new", "~unknown-user/x"])
    with pytest.raises(SystemExit) as stop:
        new.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: ~unknown-user/x: this user has no home")


def test_the_commands_of_the_readme_run(tmp_path):
    """All but the sweep and the longer trainings."""
    folder = tmp_path / "my_project"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("MPLBACKEND", None)

    def python(*arguments, cwd=folder):
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    python("-m", "vgg_lit.new", "my_project", cwd=tmp_path)
    on_cpu = "trainer.accelerator=cpu"
    train = ("-m", "vgg_lit.train", "--config-dir", "conf")
    out = python(*train, "experiment=first", "trainer.max_epochs=1", on_cpu)
    (line,) = [line for line in out.splitlines() if line.startswith("evaluate")]
    assert quoted(["trusted_targets=[my_project]"]) in line
    out = python(
        "-m", "vgg_lit.evaluate", "run=latest", "trusted_targets=[my_project]", "accelerator=cpu"
    )
    assert "test/acc" in out
    assert "4 passed" in python("-m", "pytest", "-q", "-p", "no:cacheprovider")
