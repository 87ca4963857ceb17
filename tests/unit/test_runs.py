"""Writing, finding and reading a run directory."""

import errno
import re
from pathlib import Path

import pytest

from vgg_lit.errors import InputError, disk_error
from vgg_lit.runs import Run, find_run, prepare_attempt
from vgg_lit.system import status

CONFIG = {"seed": 3, "trainer": {"max_epochs": 2}, "optimizer": {"lr": 0.1}}


@pytest.fixture
def run(tmp_path):
    return Run.start(tmp_path / "run", CONFIG, ["seed=3"])


def test_a_new_run_writes_its_config_overrides_and_environment(run):
    assert {path.name for path in run.path.iterdir()} == {
        "config.yaml",
        "overrides.txt",
        "environment.json",
        "status.json",
    }
    assert run.config == CONFIG
    assert (run.path / "overrides.txt").read_text() == "seed=3\n"
    assert run.status["status"] == "running"
    assert run.metrics == {}


def test_two_runs_never_share_a_directory(run):
    with pytest.raises(InputError, match="already holds a run; to resume it: resume="):
        Run.start(run.path, CONFIG, [])
    assert (run.path / "overrides.txt").read_text() == "seed=3\n"


def test_a_run_whose_first_status_cannot_be_written_leaves_no_files(tmp_path, monkeypatch):
    def fail(file, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    monkeypatch.setattr(status, "write_json", fail)
    with pytest.raises(OSError, match="No space left on device") as error:
        Run.start(tmp_path / "run", CONFIG, [])
    assert disk_error(error.value) is error.value
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize(
    ("status", "reason"), [("done", None), ("failed", "ValueError: x"), ("preempted", "SIGTERM")]
)
def test_the_status_has_a_reason_and_a_time(run, status, reason):
    run.set_status(status, reason)
    found = Run(run.path).status
    assert (found["status"], found["reason"]) == (status, reason)
    assert found["time"].endswith("+00:00")


def test_a_failed_run_records_the_reason(train, tmp_path, monkeypatch):
    from vgg_lit.training import experiment

    def fail(*args, **kwargs):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(experiment, "_tested_metrics", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        train(tmp_path / "run")
    assert Run(tmp_path / "run").status["reason"] == "RuntimeError: out of luck"
    assert Run(tmp_path / "run").status["status"] == "failed"


def test_final_metrics_are_read_back(run):
    run.write_metrics({"test/acc": 0.5, "seconds": 1.25})
    assert Run(run.path).metrics == {"test/acc": 0.5, "seconds": 1.25}


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda path: None, "there is no such directory"),
        (lambda path: path.mkdir(), "is not a run directory; it has no config.yaml"),
        (lambda path: path.write_text("x"), "is a file; a run is a directory$"),
    ],
)
def test_a_directory_that_is_not_a_run_is_refused(make, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "x")
    with pytest.raises(InputError, match=match):
        Run(tmp_path / "x")


def test_a_missing_run_is_refused_with_the_newest_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    newest = Path("logs/runs/vgg11/2026-01-01_00-00-00_abcd")
    Run.start(newest, CONFIG, [])
    with pytest.raises(InputError, match=re.escape(f"newest run is {newest}")):
        Run("nowhere")


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "3", "\x00"])
def test_a_damaged_config_is_one_line(text, run):
    run.config_file.write_text(text)
    with pytest.raises(InputError, match=r"config\.yaml") as refused:
        run.config  # noqa: B018
    assert "\n" not in str(refused.value)


def test_a_damaged_status_is_one_line(run):
    (run.path / "status.json").write_text("{")
    with pytest.raises(InputError, match=r"status\.json: cannot be read"):
        run.status  # noqa: B018


def test_a_run_loads_its_classifier(tiny_run):
    classifier = tiny_run.load_classifier()
    assert not classifier.training
    assert tiny_run.load_classifier("last").classes == classifier.classes


def test_an_attempt_resumes_a_run_with_a_checkpoint(run):
    run.checkpoints.mkdir()
    (run.checkpoints / "last.ckpt").touch()
    assert prepare_attempt(run.path)
    assert find_run(run.path).path == run.path


def test_an_attempt_renames_a_run_without_checkpoint(run):
    assert not prepare_attempt(run.path)
    assert find_run(run.path) is None
    assert find_run(run.path.with_name("run.attempt1")).config == CONFIG


def test_changes_in_a_resumed_run_are_recorded(run):
    run.set_status("failed", "x")
    run.resume({**CONFIG, "trainer": {"max_epochs": 5}}, ["trainer.max_epochs=5", "resume=x"])
    assert run.config["trainer"]["max_epochs"] == 5
    assert (run.path / "overrides.txt").read_text() == "seed=3\nresume=x\ntrainer.max_epochs=5\n"
    assert run.overrides.begun_with == ["seed=3"]
    assert run.overrides.resumed_with == ["trainer.max_epochs=5"]
    assert run.status["status"] == "running"


def test_a_renamed_run_leaves_the_claim_at_its_place(run):
    with run.at_work():
        run.set_aside()
        assert [path.name for path in run.path.iterdir()] == [".lock"]
        assert Run(run.path.with_name("run.attempt1")).config == CONFIG
    assert not run.path.exists()
