"""A sweep directory: its jobs, the record of them, and its lock."""

import json
import os
import subprocess

import pytest

from vgg_lit.errors import InputError
from vgg_lit.runs import Run
from vgg_lit.sweeps import Sweep


@pytest.fixture
def sweep(tmp_path):
    sweep = Sweep(tmp_path / "sweep")
    sweep.add(["model=vgg11", "seed=0"], "0")
    sweep.add(["model=vgg11", "seed=1"], "1")
    return sweep


def test_jobs_are_read_back_unchanged(sweep):
    sweep.jobs[1].status, sweep.jobs[1].signal = "failed", "SIGKILL"
    sweep.jobs[0].metrics = {"val/acc": 0.5}
    sweep.write()
    assert Sweep(sweep.path).jobs == sweep.jobs
    assert [job["status"] for job in json.loads((sweep.path / "sweep.json").read_text())] == [
        "waiting",
        "failed",
    ]


def test_a_missing_directory_has_no_jobs(tmp_path):
    assert Sweep(tmp_path / "none").jobs == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("text", ["{", "[1]", '[{"number": 0}]', '[{"colour": "red"}]'])
def test_a_damaged_record_is_one_line(text, sweep):
    sweep.write()
    (sweep.path / "sweep.json").write_text(text)
    with pytest.raises(InputError, match=r"sweep\.json: cannot be read"):
        Sweep(sweep.path)


@pytest.mark.parametrize("directory", ["/tmp/run", "../run", "1/../../run", "", ".", "1", "./1"])
def test_a_directory_that_is_not_the_jobs_own_is_one_line(directory, sweep):
    sweep.jobs[0].directory = directory
    sweep.write()
    with pytest.raises(InputError, match=r"sweep\.json: cannot be used: (the directory|two jobs)"):
        Sweep(sweep.path)


@pytest.mark.parametrize(
    ("number", "reason"), [(1, "two jobs have the number 1"), (-1, r"a job has the number -1; all")]
)
def test_a_number_that_is_not_the_jobs_own_is_one_line(number, reason, sweep):
    sweep.jobs[0].number = number
    sweep.write()
    with pytest.raises(InputError, match=rf"sweep\.json: cannot be used: {reason}"):
        Sweep(sweep.path)


def test_a_refused_job_may_name_the_directory_of_another_one(sweep):
    sweep.jobs[0].directory, sweep.jobs[0].status = "1", "refused"
    sweep.write()
    assert len(Sweep(sweep.path).jobs) == 2


def test_a_new_job_is_inside_the_sweep(sweep):
    with pytest.raises(InputError, match=r"^hydra\.sweep\.subdir=\.\./a: is not inside the sweep"):
        sweep.add(["seed=2"], "../a")


def test_a_job_is_found_by_its_overrides_in_any_order(sweep):
    assert sweep.find(["seed=1", "model=vgg11"]) is sweep.jobs[1]
    assert sweep.find(["seed=1"]) is None
    assert sweep.find(["seed=2", "model=vgg11"]) is None


def test_new_jobs_are_numbered_after_the_highest(sweep):
    assert sweep.next_number() == 2
    assert sweep.add(["seed=7"], "2").number == 2
    assert Sweep(sweep.path).next_number() == 0  # nothing has been written yet


def test_a_job_is_labelled_by_its_distinguishing_overrides(sweep):
    assert [sweep.label(job) for job in sweep.jobs] == ["seed=0", "seed=1"]
    del sweep.jobs[1]
    assert sweep.label(sweep.jobs[0]) == "model=vgg11 seed=0"


def test_a_started_job_has_a_run(sweep):
    job = sweep.jobs[0]
    assert sweep.run(job) is None
    Run.start(sweep.directory(job), {"seed": 0}, [])
    assert sweep.run(job).path == sweep.path / "0"


def test_only_an_attempt_is_set_aside(sweep):
    job = sweep.jobs[0]
    for attempt in (1, 2):
        Run.start(sweep.directory(job), {"seed": attempt}, [])
        sweep.set_aside(job)
        assert not sweep.directory(job).exists()
        assert Run(sweep.path / f"0.attempt{attempt}").config == {"seed": attempt}
    sweep.directory(job).mkdir()
    sweep.set_aside(job)
    assert sweep.directory(job).is_dir()


def test_the_lock_is_held_by_a_sweep_and_its_remaining_jobs(sweep):
    pytest.importorskip("fcntl")
    with sweep.lock() as held:
        with pytest.raises(InputError, match=r"hydra\.sweep\.dir=.*: another sweep, or a job"):
            Sweep(sweep.path).lock().__enter__()
        job = subprocess.Popen(["sleep", "60"], pass_fds=held)
    try:
        with pytest.raises(InputError, match="wait until it ends"):
            sweep.lock().__enter__()
    finally:
        job.kill()
        job.wait()
    with sweep.lock() as held:
        assert held
        assert all(os.fstat(descriptor) for descriptor in held)
