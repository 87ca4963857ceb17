"""Completion in a shell."""

import os
import subprocess
import sys

import pytest

from vgg_lit.config.completion import print_completions
from vgg_lit.new import write_starter

RUN = "logs/runs/vgg11/2026-01-31_12-00-00_1f3a"


@pytest.fixture
def complete(tmp_path, monkeypatch, capsys):
    """Returns the words that complete a line; None if Hydra is to complete it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["vgg"])

    def complete(line, *arguments):
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        command = line.split()[0].removeprefix("vgg-")
        if print_completions(command, arguments or ("-sc", "query=bash")):
            return capsys.readouterr().out.split()
        return None

    return complete


@pytest.fixture
def logs(tmp_path):
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


def test_runs_complete_by_their_beginning(complete, logs):
    assert complete("vgg-evaluate flip=true run=logs/r") == [f"run={RUN}"]
    assert complete("vgg-evaluate run=[logs/x,logs/r") == [f"run=[logs/x,{RUN}"]
    assert complete("vgg-compare runs=") == [
        "runs=latest",
        "runs=logs/tune/first/trials/0",
        "runs=logs/tune/first",
        "runs=logs/tune/a/2/trials/1",
        "runs=logs/tune/a/2",
        "runs=logs/sweeps/vgg11/s/0",
        "runs=logs/sweeps/vgg11/s",
        f"runs={RUN}",
    ]
    assert complete("vgg-train resume=nowhere") == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("vgg-evaluate run=la", ["run=latest"]),
        ("vgg-compare runs=la", ["runs=latest"]),
        ("vgg-train init.from=", ["init.from=latest"]),
        ("vgg-train resume=", ["resume=latest", "resume=auto"]),
        ("vgg-evaluate split=", ["split=test", "split=val", "split=all", "split=null"]),
        ("vgg-evaluate flip=", ["flip=true", "flip=false"]),
        (
            "vgg-train trainer.precision=bf",
            [f"trainer.precision=bf16-{n}" for n in ("mixed", "true")],
        ),
        ("vgg-visualize formats=[png,p", ["formats=[png,png", "formats=[png,pdf"]),
        ("vgg-train model=vgg16_b", ["model=vgg16_bn"]),
        ("vgg-train -m model=vgg11,vgg16_b", ["model=vgg11,vgg16_bn"]),
        ("vgg-train callbacks=[default,ear", ["callbacks=[default,early_stopping"]),
        ("vgg-evaluate sp", ["split="]),
        ("vgg-tune sp", ["space="]),
        ("vgg-train 'tags=[a]' model=efficientnet_b0 mod", ["model.", "model="]),
        ("vgg-train optimizer.lr", ["optimizer.lr="]),
        ("vgg-train 'tags=[a model=vgg16_b", ["model=vgg16_bn"]),
        ("vgg-evaluate space=", []),
        ("vgg-predict model=", []),
        ("vgg-train --config-dir ", []),
        ("vgg-train --conf", []),
    ],
)
def test_a_line_is_completed_with_words_of_its_command(line, words, complete):
    assert complete(line) == words


def test_the_files_that_others_extend_are_no_data_sets(complete):
    found = complete("vgg-train data=")
    assert "data=cifar10" in found
    assert "data=base" not in found


@pytest.mark.parametrize("flag", ["--config-dir conf", "--config-dir=conf", "-cd conf"])
def test_options_of_another_folder(flag, complete, tmp_path, monkeypatch):
    write_starter(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    assert complete(f"vgg-train {flag} model=sm") == ["model=small_net"]
    assert complete(f"vgg-train model=small_net {flag} model.w") == ["model.width="]
    assert complete(f"vgg-train {flag} model=small_net model.width=") is None
    assert os.environ["COMP_LINE"] == "train model=small_net model.width="
    assert sys.argv[1:] == ["--config-dir", "conf"]


def test_other_words_are_left_to_hydra(complete):
    for line in ("vgg-train optimizer.lr=", "vgg-train hydra.sw", "vgg-train +x", "vgg-train a/b"):
        assert complete(line) is None
        assert sys.argv == ["vgg"]
    assert complete("vgg-train run=", "-sc", "install=bash") is None
    assert complete("vgg-train run=", "seed=1") is None


def test_a_value_of_another_folder_comes_from_hydra_without_torch(tmp_path):
    write_starter(tmp_path / "mine")
    line = "vgg-train --config-dir conf model=small_net model.width="
    script = (
        "import sys; from vgg_lit.train import main; sys.argv[1:] = ['-sc', 'query=bash']\n"
        "main(); assert not {'torch', 'lightning'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path / "mine",
        env={**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line))},
        capture_output=True,
        text=True,
    )
    assert (done.stdout.split(), done.stderr) == (["model.width=8"], "")
