"""`vgg` and `python -m vgg_lit`: the list of commands, the versions, and running one command."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import vgg_lit
from vgg_lit.__main__ import COMMANDS, main


def run(*arguments, **options):
    command = [sys.executable, "-m", "vgg_lit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def test_the_list_names_every_command_with_its_purpose(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["vgg"])
    main()
    lines = capsys.readouterr().out.splitlines()
    listed = {line.split()[0]: line.split(None, 1)[1] for line in lines if line.startswith("  ")}
    configs = Path(vgg_lit.__file__).parent.parent / "conf"
    without_config = {"torchrun", "new", "cache"}
    assert set(listed) == {file.stem for file in configs.glob("*.yaml")} | without_config
    assert set(listed) == set(COMMANDS)
    assert all(purpose.endswith(".") for purpose in listed.values())
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_versions(flag, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["vgg", flag])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"vgg_lit {vgg_lit.__version__}"
    assert f"torch {version('torch')}" in lines
    assert f"lightning {version('lightning')}" in lines
    assert f"hydra-core {version('hydra-core')}" in lines


def test_an_unknown_command_is_one_line_with_the_nearest(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["vgg", "trian"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "unknown command 'trian'" in line
    assert "'train'" in line


def test_a_command_runs_with_its_exit_code(tmp_path):
    done = run("train", "optimizer.lr=fast", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: optimizer.lr=fast")
    assert not list(tmp_path.rglob("config.yaml"))


def test_two_ranks_start_from_the_list_of_commands(tiny, tmp_path):
    """The second rank is started by the name of the main module, which must be the command."""
    done = run("train", *tiny, "trainer.devices=2", "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 x cpu" in done.stdout
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
