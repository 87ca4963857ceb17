"""Completion of run directories."""

import pytest

from vgg_lit.config.completion import completed_runs

RUN = "logs/runs/vgg11/2026-01-31_12-00-00_1f3a"


@pytest.fixture
def complete(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (
        RUN,
        "logs/sweeps/vgg11/s/0",
        "logs/tune/first/trials/0",
        "logs/tune/a/2/trials/1",
    ):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "config.yaml").touch()
    (tmp_path / "logs/sweeps/vgg11/s/sweep.json").touch()
    (tmp_path / "logs/tune/first/experiment").mkdir()

    def complete(line, *arguments):
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        return completed_runs(arguments or ("-sc", "query=bash"))

    return complete


def test_runs_complete_by_their_beginning(complete):
    assert complete("vgg-evaluate flip=true run=logs/r") == [f"run={RUN}"]
    assert complete("vgg-compare runs=") == [
        "runs=logs/tune/first/trials/0",
        "runs=logs/tune/first",
        "runs=logs/tune/a/2/trials/1",
        "runs=logs/tune/a/2",
        "runs=logs/sweeps/vgg11/s/0",
        "runs=logs/sweeps/vgg11/s",
        f"runs={RUN}",
    ]
    assert complete("vgg-train resume=nowhere") == []


def test_other_words_are_left_to_hydra(complete):
    assert complete("vgg-train model=vgg") is None
    assert complete("vgg-train run=", "-sc", "install=bash") is None
    assert complete("vgg-train run=", "seed=1") is None
