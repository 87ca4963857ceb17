"""Whole trainings with a teacher: resume, processes, averages, and the student without its teacher."""

import shutil

import pytest
import torch

from vgg_lit.runs import Run

PLAIN = ("model=vgg11", "model.width=0.03125", "augment=none", "optimizer.lr=0.01", "logger=none")


def weights(run):
    return torch.load(run.checkpoint("last"), weights_only=True)["state_dict"]


def assert_equal(found, expected):
    assert weights(found).keys() == weights(expected).keys()
    assert [k for k, v in weights(expected).items() if not torch.equal(weights(found)[k], v)] == []


@pytest.fixture
def teacher(tiny_run, tmp_path):
    """A copy of a run, to be moved and damaged."""
    shutil.copytree(tiny_run.path, tmp_path / "teacher")
    return tmp_path / "teacher"


def test_a_student_resumes_with_a_teacher_that_has_moved(teacher, train, verb, tmp_path):
    options = (
        *("loss=distillation", f"loss.teacher={teacher}", "augment=mixup", "logger=none"),
        *("callbacks=[default,ema]", "trainer.accumulate_grad_batches=2", "optimizer.lr=0.01"),
    )
    whole = train(tmp_path / "whole", *options, "trainer.max_epochs=2", "scheduler=none")
    half = train(tmp_path / "half", *options, "trainer.max_epochs=1", "scheduler=none")
    assert len(half.config["loss"]["teacher_sha256"]) == 64
    assert {name.split(".")[0] for name in weights(half)} == {"net"}
    moved = teacher.rename(tmp_path / "moved")
    resume = (f"resume={half.path}", "trainer.max_epochs=2")

    done = verb("train", *resume)
    assert done.code == 2
    assert done.err.startswith(f"error: loss.teacher={teacher}: there is no such run")
    assert len(done.err.splitlines()) == 1

    done = verb("train", *resume, f"loss.teacher={moved}")
    assert done.code == 0, done.err
    assert "loss.teacher" not in done.err
    assert_equal(half, whole)

    other = moved / "checkpoints" / "best.ckpt"
    shutil.copy(whole.checkpoint("best"), other)
    (moved / "checkpoints" / "best.ckpt.sha256").unlink()
    done = verb("train", f"resume={half.path}", "trainer.max_epochs=3", f"loss.teacher={moved}")
    assert done.code == 2
    assert "is not loss.teacher_sha256=" in done.err

    shutil.rmtree(moved)
    for name, options in (
        ("evaluate", (f"run={whole.path}",)),
        ("export", (f"run={whole.path}", "formats=onnx")),
    ):
        done = verb(name, *options)
        assert done.code == 0, done.err


def test_two_processes_learn_as_one(teacher, command, tiny, tmp_path):
    runs = []
    for devices in (1, 2):
        path = tmp_path / str(devices)
        options = ("loss=distillation", f"loss.teacher={teacher}", f"trainer.devices={devices}")
        done = command("train", *tiny, *PLAIN, *options, f"hydra.run.dir={path}", cwd=tmp_path)
        assert done.code == 0, done.err
        runs.append(Run(path))
    one, two = runs
    for name, tensor in weights(one).items():
        torch.testing.assert_close(weights(two)[name], tensor, rtol=1e-4, atol=1e-6)
    assert two.metrics["train/loss"] == pytest.approx(one.metrics["train/loss"], rel=1e-4)
    for name in ("val/objective_loss", "test/objective_loss"):
        assert two.metrics[name] == pytest.approx(one.metrics[name], rel=1e-4)


def test_a_student_in_mixed_precision_learns_from_a_sum(teacher, train, tmp_path):
    options = ("loss=distillation", f"loss.teacher={teacher}", "loss.reduction=sum")
    few = ("trainer.precision=bf16-mixed", "optimizer.lr=1e-4", "logger=none")
    run = train(tmp_path / "run", *options, *few)
    assert 0 < run.metrics["train/loss"] < 100


def test_a_teacher_of_other_images_is_refused_before_a_run_starts(teacher, verb, tiny, tmp_path):
    other = ("data=fashion_mnist_sample", "data.image_size=34", f"hydra.run.dir={tmp_path / 'run'}")
    done = verb("train", *tiny, *other, "loss=distillation", f"loss.teacher={teacher}")
    assert done.code == 2
    assert "the teacher has image_size=32, the student 34" in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "run").exists()
