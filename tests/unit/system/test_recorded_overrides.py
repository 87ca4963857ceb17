"""Overrides of a run and of its resumes, in overrides.txt."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vgg_lit.errors import InputError
from vgg_lit.runs import Run
from vgg_lit.system.recorded_overrides import RecordedOverrides, as_lines

CONFIG = {"seed": 3}
OVERRIDES = st.lists(st.sampled_from(["seed=3", "seed=33", "model=vgg16", "+a=''"]), max_size=4)


@pytest.fixture
def run(tmp_path):
    return Run.start(tmp_path / "run", CONFIG, ["seed=3"])


def test_repeated_attempts_at_a_job_leave_its_overrides(run):
    for _ in range(10):
        run.resume(CONFIG, ["seed=3"])
    assert (run.path / "overrides.txt").read_text() == "seed=3\n"
    run.resume(CONFIG, ["resume=x", "trainer.max_epochs=5"])
    assert run.overrides.are_of_job(["seed=3"])
    assert not run.overrides.are_of_job(["seed=3", "trainer.max_epochs=5"])
    assert not run.overrides.are_of_job([])


def test_a_job_of_an_older_version_is_recognised(run):
    (run.path / "overrides.txt").write_text("seed=3\n" * 3)
    assert run.overrides.are_of_job(["seed=3"])
    (run.path / "overrides.txt").write_text("seed=3\nseed=33\n")
    assert not run.overrides.are_of_job(["seed=3"])


def test_the_run_of_another_job_is_refused(run):
    run.overrides.check_job(["seed=3"])
    with pytest.raises(
        InputError, match=r"run: contains another job \(seed=3\); to resume a sweep"
    ):
        run.overrides.check_job(["seed=33"])


@settings(max_examples=30, deadline=None)
@example(begun=[], other=[], resumes=[["seed=3"], ["seed=3"]])
@example(begun=["seed=3", "seed=3"], other=["seed=3"], resumes=[[]])
@given(begun=OVERRIDES, other=OVERRIDES, resumes=st.lists(OVERRIDES, max_size=3))
def test_a_run_is_of_the_job_that_began_it_alone(begun, other, resumes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "overrides.txt").write_text(as_lines(begun))
    for overrides in resumes:
        RecordedOverrides(folder).add(["resume=x", *overrides])
    found = RecordedOverrides(folder)
    assert found.begun_with == begun
    assert found.resumed_with == [override for overrides in resumes for override in overrides]
    assert found.are_of_job(begun)
    # an older version repeated the overrides of a job
    is_repeated = bool(begun and other) and begun == other * (len(begun) // len(other))
    assert found.are_of_job(other) == (other == begun or is_repeated)


@pytest.mark.parametrize("text", ["seed=3\nmodel=vgg16", "seed=3\r\nmodel=vgg16\r\n"])
def test_the_line_ends_of_editors_are_read(text, tmp_path):
    (tmp_path / "overrides.txt").write_bytes(text.encode())
    found = RecordedOverrides(tmp_path)
    assert found.begun_with == ["seed=3", "model=vgg16"]
    assert found.are_of_job(["seed=3", "model=vgg16"])
    found.add(["resume=x", "++seed=4"])
    lines = RecordedOverrides(tmp_path).lines
    assert lines == ["seed=3", "model=vgg16", "resume=x", "seed=4"]


def test_a_run_without_the_file_had_no_overrides(tmp_path):
    found = RecordedOverrides(tmp_path)
    assert (found.lines, found.begun_with, found.resumed_with) == ([], [], [])
    assert found.are_of_job([])
    found.add(["seed=4"])
    assert found.file.read_text() == f"resume={tmp_path}\nseed=4\n"
