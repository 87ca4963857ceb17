"""`resume=auto` finds the run to continue, and keeps the overrides that apply to it."""

import os
import time

import pytest
from image_groups import write_image
from operating_systems import posix

from vgg_lit.checkpoints.storage import SCHEMA, write_checkpoint
from vgg_lit.config.checks import to_plain
from vgg_lit.errors import InputError
from vgg_lit.runs import Run
from vgg_lit.training.resume_auto import find_resumed, read_command_line
from vgg_lit.training.run_data import load_datamodule, record_data


@pytest.fixture
def begun(compose, tmp_path, monkeypatch):
    """`begun("seed=1")`: an unfinished run with these settings and a checkpoint."""
    monkeypatch.chdir(tmp_path)
    names = iter(f"2026-01-0{day}_00-00-00_abcd" for day in range(1, 9))

    def begun(*overrides, saves=True):
        config = to_plain(compose(*overrides))
        run = Run.start(f"logs/runs/vgg11/{next(names)}", config, overrides)
        if saves:
            write_checkpoint({"vgg_lit": {"schema": SCHEMA}}, run.checkpoints / "last.ckpt")
        return run

    return begun


def test_the_last_unfinished_run_with_the_same_settings_is_found(begun):
    begun("model=vgg11", "seed=1")
    second = begun("model=vgg11", "seed=1")
    begun("model=vgg11", "seed=2")
    begun("model=vgg11", "seed=1").set_status("done")
    begun("model=vgg11", "seed=1", saves=False)
    found = find_resumed(["seed=1", "resume=auto", "model=vgg11"])
    assert found == [f"resume={second.path}"]


def test_trusted_targets_are_kept_on_the_command_line(begun):
    run = begun("model=vgg11")
    found = find_resumed(["model=vgg11", "trusted_targets=[mine,yours.nets]", "resume=auto"])
    assert found == [f"resume={run.path}", 'trusted_targets=["mine", "yours.nets"]']


@pytest.mark.parametrize("status", ["failed", "preempted", "running"])
def test_a_run_is_found_with_any_unfinished_status(status, begun):
    run = begun("model=vgg11")
    run.set_status(status)
    assert find_resumed(["model=vgg11", "resume=auto"]) == [f"resume={run.path}"]


def test_without_a_matching_run_a_new_one_starts(begun):
    begun("model=vgg11", "seed=1")
    assert find_resumed(["model=vgg11", "resume=auto"]) == ["model=vgg11"]
    assert find_resumed(["model=vgg19", "resume=auto"]) == ["model=vgg19"]


@posix
def test_a_run_that_is_being_trained_is_not_resumed(begun):
    run = begun("model=vgg11")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with run.at_work():
            os.write(writing, b"x")
            time.sleep(60)
        os._exit(0)
    os.read(reading, 1)
    try:
        assert find_resumed(["model=vgg11", "resume=auto"]) == ["model=vgg11"]
        with pytest.raises(InputError, match="another process is training this run"), run.at_work():
            pass
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    assert find_resumed(["model=vgg11", "resume=auto"]) == [f"resume={run.path}"]


def test_custom_config_directories_are_searched(begun, tmp_path):
    own = tmp_path / "own"
    (own / "model").mkdir(parents=True)
    (own / "model" / "mine.yaml").write_text("defaults: [vgg]\nvariant: vgg11\n")
    run = begun("model=vgg11", "name=vgg11")
    flags = ["--config-dir", str(own)]
    found = find_resumed([*flags, "model=mine", "resume=auto", "name=vgg11"])
    assert found == [*flags, f"resume={run.path}"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["seed=1"],
        ["resume=logs/runs/x"],
        ["-m", "seed=1,2", "resume=auto"],
        ["model=nothing"],
    ],
)
def test_other_command_lines_are_unchanged(arguments, begun):
    assert find_resumed(arguments) == arguments


def test_other_errors_are_left_to_the_verb(begun):
    assert find_resumed(["model=nothing", "resume=auto"]) == ["model=nothing"]


def test_values_that_do_not_affect_the_weights_are_kept(begun, capsys):
    run = begun("model=vgg11", "tags=[mine]")
    differing = ["test=false", "objective=val/loss", "trainer.max_time=00:08:00:00"]
    equal = ["tags=[mine]", "trainer.profiler=null", "callbacks.checkpointing.keep=all"]
    found = find_resumed(["model=vgg11", *equal, *differing, "resume=auto"])
    assert found == [
        *(f"resume={run.path}", "test=false", "objective=val/loss"),
        "++trainer.max_time=00:08:00:00",
    ]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("prefix", ["", "++"])
def test_accepted_changes_of_the_data_are_kept(prefix, begun):
    run = begun("model=vgg11")
    accepts = f"{prefix}accept_data_changes=true"
    line = read_command_line(["model=vgg11", accepts, "resume=auto"])
    assert line.resuming(run) == [f"resume={run.path}", accepts]


def test_values_that_a_resumed_run_refuses_are_named(begun, capsys):
    run = begun("model=vgg11", "logger=csv")
    typed = ["logger=none", "metrics=f1", "data.test_size=8", "+callbacks.layer_times.missing=1"]
    assert find_resumed(["model=vgg11", *typed, "resume=auto"]) == [f"resume={run.path}"]
    lines = capsys.readouterr().err.splitlines()
    start = f"warning: resume=auto: not applied to {run.path}: "
    assert [line.removeprefix(start).split(":")[0] for line in lines] == [
        *("logger=none", "metrics=f1", "data.test_size=8", f"resume={run.path}"),
    ]
    assert find_resumed(["model=vgg11", "logger=csv", "resume=auto"]) == [f"resume={run.path}"]
    assert capsys.readouterr().err == ""


def test_another_place_of_the_same_images_is_kept(begun, tmp_path):
    for name in ("a/0.png", "a/1.png", "b/0.png", "b/1.png"):
        write_image(tmp_path / "photos" / name, int(name[2]))
    group = ("model=vgg11", "data=image_folder", "data.image_size=32")
    run = begun(*group, "data.root=photos")
    settings = run.config
    record_data(run, load_datamodule(settings))
    assert find_resumed([*group, "data.root=photos", "resume=auto"]) == [f"resume={run.path}"]
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    found = find_resumed([*group, "data.root=elsewhere", "resume=auto"])
    assert found == [f"resume={run.path}", "++data.root=elsewhere"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
@pytest.mark.parametrize("kind", ["folder", "pipe", "interpolation", "key"])
def test_a_run_with_a_broken_config_is_passed_over(kind, begun, capsys):
    run = begun("model=vgg11")
    broken = begun("model=vgg11").config_file
    text = broken.read_text()
    broken.unlink()
    if kind == "folder":
        broken.mkdir()
    elif kind == "pipe":
        os.mkfifo(broken)
    else:
        line = 'name: "${"' if kind == "interpolation" else "local: {~: 1}"
        broken.write_text(f"{text}\nextra_{line}\n")
    assert find_resumed(["model=vgg11", "resume=auto"]) == [f"resume={run.path}"]
    assert "this run is passed over" in capsys.readouterr().err
