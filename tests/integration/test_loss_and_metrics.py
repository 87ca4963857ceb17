"""Losses and metrics of whole trainings: processes, accumulation, mixed targets, averages, callbacks."""

import csv

import pytest
import torch

from vgg_lit.runs import Run

PLAIN = ("model=vgg11", "model.width=0.03125", "augment=none", "optimizer.lr=0.01", "logger=none")
ALL = "metrics=[f1,precision,recall,per_class,auroc,ece,confusion]"


def weights(run):
    return torch.load(run.checkpoint("last"), weights_only=True)["state_dict"]


def assert_close(found, expected):
    for name, tensor in weights(expected).items():
        torch.testing.assert_close(weights(found)[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", ["focal", "bce"])
def test_two_processes_train_and_measure_as_one(loss, command, tiny, tmp_path):
    runs = []
    for devices in (1, 2):
        options = (
            f"loss={loss}",
            "loss.class_weights=effective",
            ALL,
            f"trainer.devices={devices}",
        )
        path = tmp_path / f"{loss}{devices}"
        # 61 and 41 images: padding in two processes
        odd = ("data.val_fraction=0.0102", "data.test_size=41", f"hydra.run.dir={path}")
        done = command("train", *tiny, *PLAIN, *options, *odd, cwd=tmp_path)
        assert done.code == 0, done.err
        assert "sync_dist" not in done.err
        runs.append(Run(path))
    one, two = runs
    assert_close(two, one)
    measured = {name for name in one.metrics if name.startswith(("val/", "test/"))}
    assert {"val/objective_loss", "test/f1_macro", "val/class_acc/Bag"} <= measured
    for name in measured:
        assert two.metrics[name] == pytest.approx(one.metrics[name], rel=1e-3, abs=1e-5), name
    tables = [(run.path / "confusion.csv").read_text() for run in runs]
    assert tables[0] == tables[1]
    counts = [int(cell) for row in list(csv.reader(tables[0].splitlines()))[1:] for cell in row[1:]]
    assert sum(counts) == 41


def test_a_sum_is_over_the_images_of_a_step(train, tmp_path):
    """With a rate divided by the images of a step, it is the mean, however the step is divided."""
    options = (*PLAIN, "optimizer.weight_decay=0", "trainer.gradient_clip_val=null")
    mean = train(tmp_path / "mean", *options, "data.batch_size=32")
    divided = (*options, "loss.reduction=sum", f"optimizer.lr={0.01 / 32}")
    whole = train(tmp_path / "whole", *divided, "data.batch_size=32")
    parts = train(tmp_path / "parts", *divided, "trainer.accumulate_grad_batches=2")
    assert_close(whole, mean)
    assert_close(parts, mean)
    assert whole.metrics["train/loss"] == pytest.approx(mean.metrics["train/loss"], rel=1e-4)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "bce"])
def test_losses_train_on_mixed_images_with_an_average(loss, train, tmp_path):
    mixed = ("augment=cutmix", "callbacks=[default,ema]", "loss.class_weights=auto", "logger=none")
    run = train(tmp_path / "run", f"loss={loss}", *mixed, "metrics=f1")
    assert run.metrics["train/loss"] > 0
    assert run.metrics["val/objective_loss"] > 0
    assert 0 <= run.metrics["test/f1_weighted"] <= 1
    classifier = run.load_classifier()
    assert len(classifier.hparams["loss"]["class_weights"]) == 10
    assert not any(name.startswith(("loss", "objective")) for name in classifier.state_dict())
    assert run.config["loss"]["class_weights"] == classifier.hparams["loss"]["class_weights"]


CALLBACK = """
import lightning.pytorch as L

class Logits(L.Callback):
    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
        hits = (outputs.argmax(1) == batch[1]).sum().item()
        print(f"hits {hits} of {len(outputs)}")
"""


def test_a_callback_receives_the_logits_of_a_validation_batch(command, tiny, tmp_path):
    (tmp_path / "mine.py").write_text(CALLBACK)
    mine = ("trusted_targets=[mine]", "+callbacks.mine._target_=mine.Logits", "logger=none")
    environment = {"cwd": tmp_path, "PYTHONPATH": str(tmp_path)}
    done = command("train", *tiny, *mine, "hydra.run.dir=run", **environment)
    assert done.code == 0, done.err
    hits = [line.split() for line in done.out.splitlines() if line.startswith("hits ")]
    counted = sum(int(words[1]) for words in hits) / sum(int(words[3]) for words in hits)
    assert counted == pytest.approx(Run(tmp_path / "run").metrics["val/acc"])


def test_evaluate_computes_the_metrics_of_the_run_or_others(train, verb, tmp_path):
    run = train(tmp_path / "run", "metrics=[f1,confusion]", "loss=focal", "logger=none")
    done = verb("evaluate", f"run={run.path}")
    assert done.code == 0, done.err
    assert f"{run.metrics['test/f1_macro']:.4g}" in done.out
    done = verb("evaluate", f"run={run.path}", "metrics=ece", "flip=true")
    assert done.code == 0, done.err
    assert "ece" in done.out
    assert "f1_macro" not in done.out
    done = verb("evaluate", f"run={run.path}", "+metrics.x._target_=torch.nn.ReLU")
    assert done.code == 2
    assert done.err.startswith("error: metrics.x._target_=torch.nn.ReLU: not a torchmetrics")


@pytest.mark.parametrize(
    ("override", "named"),
    [
        (
            "loss=hinge",
            "loss=hinge: there is no such config; allowed: bce, cross_entropy, distillation, focal",
        ),
        ("loss.class_weights=best", "loss.class_weights=best: allowed: auto, effective"),
        ("loss.class_weights=[1,2]", "2 weights for 10 classes"),
        ("loss=focal label_smoothing=2", "loss.label_smoothing=2: should be less than 1"),
        ("metrics=f2", "metrics=f2: there is no such config"),
        ("metrics=f1 metrics.f1_macro.average=mean", "metrics.f1_macro"),
        ("metrics=f1 +metrics.acc._target_=torch.nn.ReLU", "metrics.acc"),
        ("tags=3", "tags=3"),
    ],
)
def test_a_wrong_setting_is_one_line(override, named, verb, tiny):
    done = verb("train", *tiny, *override.split())
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert named in done.err
