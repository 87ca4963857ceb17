"""Methods of a run in Python: what they return, and that a notebook's pictures can be classified."""

import math

import numpy as np
import pytest
from PIL import Image

import vgg_lit
from vgg_lit.errors import InputError, OutOfMemory
from vgg_lit.interactive_run import InteractiveRun


@pytest.fixture
def run(tiny_run):
    return InteractiveRun(tiny_run.path)


def test_the_run_of_the_package_has_the_methods_and_shows_its_path(run):
    assert vgg_lit.Run is InteractiveRun
    assert repr(run) == f"Run('{run.path}')"


def test_pictures_of_all_kinds_have_the_same_classes(run, grey, tmp_path):
    file = tmp_path / "shoe.png"
    Image.fromarray(grey).save(file)
    colour = np.stack([grey] * 3, axis=-1)
    lists = (file, [str(file)], [grey], [Image.fromarray(grey)], [colour])
    single = (grey, Image.fromarray(grey), colour)
    kinds = [run.predict(x) for x in (*lists, *single)]
    assert [len(found) for found in kinds] == [1] * 8
    classes = [[name for name, _ in found[0].likeliest] for found in kinds]
    assert classes[1:] == classes[:1] * 7
    assert kinds[0][0].path == str(file)
    assert kinds[2][0].path == "image 0"


def test_paths_and_pictures_are_not_mixed(run, grey):
    with pytest.raises(InputError, match="has paths and pictures"):
        run.predict(["shoe.png", grey])


def test_batches_do_not_change_the_classes(run, grey):
    pictures = [np.roll(grey, shift, axis=0) for shift in range(5)]
    together, apart = (run.predict(pictures, batch_size=size, top_k=1) for size in (5, 2))
    assert [one.path for one in apart] == [f"image {index}" for index in range(5)]
    for one, other in zip(together, apart, strict=True):
        assert one.likeliest[0] == (other.likeliest[0][0], pytest.approx(other.likeliest[0][1]))


def test_unknown_settings_of_a_method_are_refused(run):
    with pytest.raises(InputError, match="top_k=0"):
        run.predict("photo.png", top_k=0)
    with pytest.raises(InputError, match="shifted"):
        run.evaluate(shifted=1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda run: run.predict("a.png", output="p.csv"), "output: is not a setting .* top_k,"),
        (lambda run: run.predict("a.png", weights="cifar10"), "weights: is not a setting"),
        (lambda run: run.predict("a.png", exported="model.onnx"), "exported: is not a setting"),
        (lambda run: run.draw(formats=["pdf"]), "formats: is not a setting"),
        (lambda run: run.export(run="elsewhere"), "run: is not a setting"),
        (lambda run: run.evaluate("weights=cifar10"), "weights: is not a setting"),
    ],
)
def test_settings_of_the_command_without_effect_are_refused(run, call, words):
    with pytest.raises(InputError, match=words) as error:
        call(run)
    assert "weights" not in str(error.value).partition("allowed")[2]


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda run: run.evaluate(ckpt="last"), "ckpt; did you mean checkpoint? allowed: "),
        (lambda run: run.evaluate("+crop=3"), "crop; did you mean crops? allowed: "),
        (lambda run: run.export(image="a.png"), "image; allowed: checkpoint, formats, "),
        (lambda run: run.export(dir="out"), "dir; did you mean output? allowed: "),
        (lambda run: run.predict("a.png", topk=3), "topk; did you mean top_k? allowed: "),
        (lambda run: run.predict("a.png", folder="b"), "folder; allowed: "),
        (lambda run: run.draw(figure="confusion"), "figure; did you mean figures? allowed: "),
    ],
)
def test_an_unknown_setting_names_those_of_the_method(run, call, meant):
    with pytest.raises(InputError) as error:
        call(run)
    assert str(error.value).startswith(f"unknown key {meant}")
    allowed = str(error.value).partition("allowed: ")[2].split(", ")
    assert not {"run", "weights", "exported"}.intersection(allowed)
    assert "checkpoint" in allowed


@pytest.mark.parametrize(
    "call",
    [
        lambda run, **place: run.evaluate(**place),
        lambda run, **place: run.draw("confusion", **place),
        lambda run, **place: run.export(formats=["onnx_int8"], **place),
    ],
)
def test_a_place_of_data_is_not_ignored(run, call):
    with pytest.raises(InputError, match=r"data\.root=/elsewhere: the data set of the run has no"):
        call(run, **{"data.root": "/elsewhere"})


def test_another_size_than_that_of_the_training_is_refused(run):
    with pytest.raises(InputError, match=r"data\.image_size=64"):
        run.evaluate("data=fashion_mnist_sample", **{"data.image_size": 64})


@pytest.mark.parametrize("method", ["evaluate", "draw", "export"])
def test_memory_that_runs_out_is_one_line(run, method, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr(f"vgg_lit.interactive_run.{method}", fail)
    with pytest.raises(OutOfMemory, match=r"out of memory: CUDA .* reduce batch_size") as error:
        getattr(run, method)()
    assert "\n" not in str(error.value)


@pytest.fixture
def rows(monkeypatch):
    """The rows of `metrics.csv`: an epoch without a validation accuracy."""
    rows = [{"epoch": "1", "step": "4", "val/loss": "0.5", "val/acc": ""}]
    monkeypatch.setattr(InteractiveRun, "epochs", lambda self: rows)


@pytest.mark.usefixtures("rows")
def test_the_history_has_numbers(run, monkeypatch):
    monkeypatch.setattr("vgg_lit.interactive_run.find_spec", lambda name: None)
    (row,) = run.history()
    assert (row["epoch"], row["step"], row["val/loss"]) == (1, 4, 0.5)
    assert isinstance(row["epoch"], int)
    assert math.isnan(row["val/acc"])


@pytest.mark.usefixtures("rows")
def test_the_history_is_a_table_of_pandas_where_it_is_installed(run):
    pytest.importorskip("pandas")
    assert run.history()["val/loss"].tolist() == [0.5]


def test_a_figure_is_returned_and_not_written(run):
    before = sorted(run.path.rglob("*"))
    (picture,) = run.draw("confusion", accelerator="cpu")
    assert picture.figure.axes
    assert sorted(run.path.rglob("*")) == before
