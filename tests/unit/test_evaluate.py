"""Evaluation of runs, and the refusal of data that do not fit them."""

import json
import shutil

import pytest
from omegaconf import OmegaConf

from vgg_lit.data import FashionMNISTSample
from vgg_lit.runs import Run
from vgg_lit.tables import read_csv


def read(run, name):
    (file,) = (run.path / "evaluations").glob(f"{name}.json")
    return json.loads(file.read_text())


def error_of(done):
    assert done.code == 2
    assert done.err.count("\n") == 1
    return done.err


def test_evaluation_reproduces_the_metrics_of_training(verb, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = verb("evaluate", f"run={tiny_run.path}", "accelerator=cpu")
    assert done.code == 0
    found = read(tiny_run, "fashion_mnist_sample_test_best-step*")["metrics"]
    assert found == {k: v for k, v in tiny_run.metrics.items() if k.startswith("test/")}


def test_the_outcome_of_each_image_is_written(verb, tiny_run, tmp_path):
    run = Run(shutil.copytree(tiny_run.path, tmp_path / "run"))
    (run.path / "predictions_test.csv").unlink(missing_ok=True)  # of another evaluation
    assert verb("evaluate", f"run={run.path}", "accelerator=cpu", "split=val").code == 0
    rows = read_csv(run.path / "predictions_val.csv")
    assert list(rows[0]) == ["image", "true", "predicted", "probability", "loss", "rank"]
    found = read(run, "fashion_mnist_sample_val_best-step*")["metrics"]
    assert len(rows) == 60
    assert sum(row["rank"] == "1" for row in rows) / 60 == pytest.approx(found["val/acc"])
    assert sum(float(row["loss"]) for row in rows) / 60 == pytest.approx(found["val/loss"])
    labels = FashionMNISTSample().load("train").labels_N
    for row in rows:  # the index is that in the train split
        assert row["true"] == FashionMNISTSample.classes[labels[int(row["image"])]]
    views = ("flip=true", "data=fashion_mnist_sample", "data.test_size=20")
    assert verb("evaluate", f"run={run.path}", "accelerator=cpu", *views).code == 0
    (other,) = (run.path / "evaluations").glob("predictions_fashion_mnist_sample-*_test_*flip*.csv")
    assert len(read_csv(other)) == 20
    assert not (run.path / "predictions_test.csv").exists()


def test_another_split_and_checkpoint_have_other_metrics(verb, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = (f"run={tiny_run.path}", "split=val", "checkpoint=last", "accelerator=cpu")
    assert verb("evaluate", *arguments).code == 0
    content = read(tiny_run, "fashion_mnist_sample_val_last-step*")
    assert content["checkpoint"].endswith("last.ckpt")
    assert set(content["metrics"]) == {"val/loss", "val/acc", *(f"val/top{k}" for k in range(1, 6))}


def test_other_classes_are_refused_by_name(verb, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        (tmp_path / "pets" / name / "1.png").touch()
    arguments = (f"run={tiny_run.path}", "data=image_folder", f"data.root={tmp_path / 'pets'}")
    error = error_of(verb("evaluate", *arguments))
    assert "its 2 classes differ from the 10 of" in error
    assert "only in the data: cat, dog" in error


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("split=train", ["split=train", "'test', 'val' or 'all'"]),
        ("checkpoint=newest", ["checkpoint=newest", "best, last"]),
        ("batch_size=0", ["batch_size=0"]),
        ("accelerator=abacus", ["accelerator=abacus"]),
        ("crops=24", ["crops=24", "k * k", "50"]),
        ("crops=50", ["crops=50", "size of 32 pixels", "scales=[...] to at least 36"]),
        ("scales=[31]", ["31 is too small", "at least 32"]),
        ("scales=[]", ["scales=[]", "1 or more values"]),
        ("scales=[40,big]", ["scales=[40, big]", "integer"]),
        ("flip=2", ["flip=2", "boolean"]),
    ],
)
def test_a_bad_setting_is_one_line(argument, parts, verb, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = error_of(verb("evaluate", f"run={tiny_run.path}", argument))
    assert all(part in error for part in parts), error


def test_split_val_needs_a_validation_split(verb, train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = train(tmp_path / "run", "data.val_fraction=0.0")
    assert isinstance(run, Run)
    assert "leaves no validation split" in error_of(
        verb("evaluate", f"run={run.path}", "split=val")
    )


@pytest.fixture
def run(tiny_run, tmp_path, monkeypatch):
    """A writable copy of the tiny run."""
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "run"
    shutil.copytree(tiny_run.path, copy, ignore=shutil.ignore_patterns("evaluations"))
    return Run(copy)


def written(run):
    return sorted(path.name for path in (run.path / "evaluations").iterdir())


def test_requested_views_are_listed_after_the_single_view(verb, run):
    views = ("flip=true", "scales=[36,40]", "dense=true", "crops=8")
    done = verb("evaluate", f"run={run.path}", "accelerator=cpu", *views)
    assert done.code == 0, done.err
    name = next(name for name in written(run) if name.endswith(".md")).removesuffix(".md")
    assert name.startswith("fashion_mnist_sample_test_best-step")
    assert name.endswith("_dense-flip-8-crops-at-36-40")
    assert written(run) == [f"{name}.json", f"{name}.md", f"predictions_{name}.csv"]
    record = read(run, name)
    labels = [row["views"] for row in record["rows"]]
    assert labels == [
        "single view",
        "dense, flip at 36, 40",
        "8 crops at 36, 40",
        "dense, flip + 8 crops at 36, 40",
    ]
    single = {k: v for k, v in run.metrics.items() if k.startswith("test/")}
    assert record["rows"][0]["metrics"] == single
    assert record["rows"][-1]["metrics"] == record["metrics"]
    losses = [row["metrics"]["test/loss"] for row in record["rows"]]
    assert len(set(losses)) == 4
    assert losses[3] <= (losses[1] + losses[2]) / 2  # Jensen: -log is convex
    markdown = (run.path / "evaluations" / f"{name}.md").read_text()
    top1 = f"{100 * single['test/top1']:.2f}"
    assert f"| single view | {single['test/loss']:.4f} | {top1} |" in markdown
    assert "8 crops" in done.out


def test_the_default_is_the_single_view(verb, run):
    assert verb("evaluate", f"run={run.path}", "accelerator=cpu").code == 0
    assert len(written(run)) == 1
    assert written(run)[0].startswith("fashion_mnist_sample_test_best-step")


def test_the_batch_size_does_not_change_the_accuracies(verb, run):
    found = []
    for size in (7, 40):
        arguments = (f"run={run.path}", "accelerator=cpu", "flip=true", f"batch_size={size}")
        assert verb("evaluate", *arguments).code == 0
        found.append(read(run, "fashion_mnist_sample_test_best-step*_flip")["metrics"])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_fusing_a_run_with_itself_changes_nothing(verb, run):
    done = verb("evaluate", f"run=[{run.path},{run.path}]", "accelerator=cpu")
    assert done.code == 0, done.err
    record = read(run, "fashion_mnist_sample_test_fusion2-*_fusion-of-2-single-view")
    assert [row["network"] for row in record["rows"]] == ["run", "run", "fusion of 2"]
    single = {k: v for k, v in run.metrics.items() if k.startswith("test/")}
    assert record["metrics"] == pytest.approx(single, rel=1e-6)
    assert [one["precision"] for one in record["checkpoints"]] == ["32-true"] * 2


@pytest.fixture(scope="module")
def other(train, tmp_path_factory):
    """A run with another network and input size on the same images. Read only."""
    path = tmp_path_factory.mktemp("other") / "other"
    return train(path, "model=plan_1", "model.head=gap", "data.image_size=40")


def test_runs_with_different_networks_and_inputs_are_fused(verb, run, other):
    arguments = (f"run=[{run.path},{other.path}]", "accelerator=cpu", "dense=true", "scales=[48]")
    done = verb("evaluate", *arguments)
    assert done.code == 0, done.err
    record = read(run, "fashion_mnist_sample_test_fusion2-*_fusion-of-2-dense-at-48")
    assert record["rows"][1]["metrics"]["test/acc"] == other.metrics["test/acc"]
    assert record["rows"][1]["metrics"]["test/loss"] == pytest.approx(other.metrics["test/loss"])
    losses = [row["metrics"]["test/loss"] for row in record["rows"][:3]]
    assert losses[2] <= (losses[0] + losses[1]) / 2
    assert not (other.path / "evaluations").exists()


def test_a_scale_must_suit_every_run_of_a_fusion(verb, run, other):
    error = error_of(verb("evaluate", f"run=[{run.path},{other.path}]", "scales=[32]"))
    assert "32 is too small for the network; at least 40" in error


def test_runs_with_different_validation_images_are_not_fused_on_them(verb, run, other):
    both = f"run=[{run.path},{other.path}]"
    assert verb("evaluate", both, "split=val", "accelerator=cpu").code == 0
    config = OmegaConf.load(run.config_file)
    config.data.seed = 1
    OmegaConf.save(config, run.config_file)
    error = error_of(verb("evaluate", both, "split=val"))
    assert f"run={other.path} has data.seed=0 instead of 1" in error
    assert "allowed: test" in error
    assert verb("evaluate", both, "accelerator=cpu").code == 0


def test_a_checkpoint_file_is_refused_for_several_runs(verb, run, other):
    file = run.checkpoint("last")
    error = error_of(verb("evaluate", f"run=[{run.path},{other.path}]", f"checkpoint={file}"))
    assert "one file for 2 runs; allowed: best, last" in error


def test_a_run_without_checkpoint_is_one_line(verb, run):
    shutil.rmtree(run.checkpoints)
    error = error_of(verb("evaluate", f"run={run.path}", "flip=true"))
    assert "the run has not written any" in error


def test_a_custom_network_has_no_dense_views(verb, train, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net_without_a_dense_form.py").write_text(
        "from torch import nn\n"
        "def net(num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(1024, num_classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("vgg_lit.targets._trusted", set())
    base = tuple(setting for setting in tiny if not setting.startswith("model."))
    own = ("~model", "+model._target_=net_without_a_dense_form.net", "+model.num_classes=10")
    run = train(tmp_path / "run", *own, "trusted_targets=[net_without_a_dense_form]", base=base)
    arguments = (f"run={run.path}", "accelerator=cpu", "trusted_targets=[net_without_a_dense_form]")
    assert verb("evaluate", *arguments, "scales=[34]", "crops=9").code == 0
    error = error_of(verb("evaluate", *arguments, "dense=true"))
    assert "dense: a Sequential has no fully connected layers" in error


def test_evaluations_with_other_checkpoints_or_options_do_not_replace_each_other(verb, run):
    base = (f"run={run.path}", "accelerator=cpu")
    options = [(), ("checkpoint=last",), ("precision=bf16-mixed",), ("split=val",), ("flip=true",)]
    options += [("data=fashion_mnist_sample", f"data.test_size={size}") for size in (20, 30)]
    for count, option in enumerate(options, 1):
        assert verb("evaluate", *base, *option).code == 0
        assert len([name for name in written(run) if name.endswith(".json")]) == count


@pytest.mark.parametrize("option", ["data.val_fraction=0.5", "data.seed=1", "data.folds=3"])
def test_validation_images_of_another_split_of_the_same_data_are_refused(verb, run, option):
    more = ("data.fold=0",) if "folds" in option else ()
    arguments = (f"run={run.path}", "data=fashion_mnist_sample", "split=val", option, *more)
    assert "was trained on some of these images" in error_of(verb("evaluate", *arguments))


def test_validation_images_of_the_complete_data_set_of_the_sample_are_refused(verb, run, tmp_path):
    arguments = (f"run={run.path}", "data=fashion_mnist", "split=val", "data.val_fraction=0.01")
    assert "was trained on images of this data set" in error_of(verb("evaluate", *arguments))


def test_all_images_are_those_of_another_folder(verb, run):
    assert "goes with another folder" in error_of(verb("evaluate", f"run={run.path}", "split=all"))


@pytest.mark.parametrize("typed", ["data.fit=pad", "data.image_size=48", "data.in_channels=3"])
def test_another_preprocessing_than_that_of_the_training_is_refused(typed, verb, run, tmp_path):
    data = ("data=image_folder", f"data.root={tmp_path}")
    error = error_of(verb("evaluate", f"run={run.path}", *data, typed))
    assert f"{typed}: the run was trained with" in error


def test_a_metric_of_a_run_that_cannot_be_built_is_named_with_the_file(verb, tiny_run, tmp_path):
    run = Run(shutil.copytree(tiny_run.path, tmp_path / "run"))
    config = run.config | {"metrics": {"a\nb": 3}}
    run.config_file.write_text(OmegaConf.to_yaml(OmegaConf.create(config)))
    message = error_of(verb("evaluate", f"run={run.path}", "accelerator=cpu"))
    assert message.startswith(f"error: {run.config_file}: metrics.a b: ")
