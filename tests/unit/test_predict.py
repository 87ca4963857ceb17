"""The selection of images and the predictions for them."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from vgg_lit.data.fashion_mnist import FashionMNISTSample
from vgg_lit.errors import InputError
from vgg_lit.runs import Run
from vgg_lit.tables import read_csv


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["run: set exactly one of", "weights=<name>", "model=<exported model>"]),
        (("run=x", "model=y"), ["exactly one of run="]),
        (("model=nowhere",), ["model=nowhere: there is no such file or folder"]),
        (("model=.",), ["model=.", "no model.onnx"]),
        (("model=model.pt2",), ["model.pt2", "may run code", ".onnx"]),
        (("model=a.onnx", "checkpoint=last"), ["checkpoint=last", "allowed only with run"]),
        (("model=a.onnx", "accelerator=gpu"), ["accelerator=gpu", "CPU"]),
        (("model=a.onnx", "precision=32-true"), ["precision=32-true", "allowed only with run"]),
    ],
)
def test_exactly_one_existing_source_of_predictions_is_needed(
    arguments, words, verb, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pt2").write_bytes(b"PK")
    done = verb("predict", *arguments, "images=.")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert all(word in done.err for word in words), done.err


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """40 images of the embedded test split as files, named by index, and the same inverted."""
    folder = tmp_path_factory.mktemp("pictures")
    images = FashionMNISTSample().load("test").images_NCHW[:, 0].numpy()
    for index, image in enumerate(images[::25]):
        Image.fromarray(image).save(folder / f"{25 * index:03}.png")
        Image.fromarray(255 - image).save(folder / f"inverted_{25 * index:03}.png")
    return folder


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_predictions_equal_those_of_the_evaluation(precision, pictures, tiny_run, tmp_path, verb):
    run = Run(shutil.copytree(tiny_run.path, tmp_path / "run"))
    text = run.config_file.read_text().replace("precision: 32-true", f"precision: {precision}")
    run.config_file.write_text(text)
    own = ["accelerator=cpu", f"run={run.path}"]
    evaluated = verb("evaluate", *own, "data=fashion_mnist_sample", "data.test_size=null")
    assert evaluated.code == 0, evaluated.err
    done = verb("predict", *own, f"images={pictures}/???.png", "top_k=1")
    assert "passed over" not in done.out
    assert done.code == 0, done.err
    assert f"precision   {precision} (as configured)" in done.out
    (file,) = run.path.glob("evaluations/predictions_fashion_mnist_sample_test_*.csv")
    expected = read_csv(file)
    predictions = read_csv(run.path / "predictions.csv")
    assert len(predictions) == 40
    for row in predictions:
        other = expected[int(Path(row["image"]).stem)]
        assert row["class1"] == other["predicted"]
        # batches of other sizes use other kernels
        assert float(row["probability1"]) == pytest.approx(float(other["probability"]), abs=2e-3)


def test_inverted_images_are_marked_and_can_be_inverted(pictures, tiny_run, tmp_path, verb):
    own = [f"run={tiny_run.path}", "accelerator=cpu", f"output={tmp_path / 'out.csv'}"]
    both = f"images=[{pictures}/inverted_000.png,{pictures}/000.png]"
    done = verb("predict", *own, both)
    assert "unlike the training images  1 of 2; the first," in done.out
    assert "1 of them would be like training images with invert=true" in done.out
    marked, plain = read_csv(tmp_path / "out.csv")
    assert "bright pixels" in marked["unlike_training"]
    assert plain["unlike_training"] == ""
    done = verb("predict", *own, both, "invert=true")
    assert "without invert=true" in done.out
    inverted, marked = read_csv(tmp_path / "out.csv")
    assert inverted | {"image": ""} == plain | {"image": ""}
    assert marked["unlike_training"]


def test_a_checkpoint_without_ranges_marks_no_image(pictures, tiny_run, tmp_path, verb):
    content = torch.load(tiny_run.checkpoint(), weights_only=True)
    del content["vgg_lit"]["image_ranges"]
    torch.save(content, tmp_path / "old.ckpt")
    checkpoint = f"checkpoint={tmp_path / 'old.ckpt'}"
    own = [f"run={tiny_run.path}", checkpoint, f"output={tmp_path / 'out.csv'}"]
    done = verb("predict", *own, f"images={pictures}/inverted_000.png", "accelerator=cpu")
    assert done.code == 0, done.err
    assert "unlike" not in done.out


def test_the_csv_is_written_before_the_table(pictures, tiny_run, tmp_path, verb, monkeypatch):
    def fail(*arguments):
        raise InputError("the terminal is gone")

    monkeypatch.setattr("vgg_lit.evaluation.prediction_report.print_predictions", fail)
    output = tmp_path / "out.csv"
    done = verb("predict", f"run={tiny_run.path}", f"images={pictures}/000.png", f"output={output}")
    assert "the terminal is gone" in done.err
    assert len(read_csv(output)) == 1


@pytest.mark.usefixtures("any_file_name")
def test_a_name_that_is_not_utf8_is_escaped(pictures, tiny_run, tmp_path, verb):
    shutil.copy(pictures / "000.png", tmp_path / os.fsdecode(b"caf\xe9.png"))
    output = tmp_path / "out.csv"
    done = verb("predict", f"run={tiny_run.path}", f"images={tmp_path}/*.png", f"output={output}")
    assert done.code == 0, done.err
    assert read_csv(output)[0]["image"].endswith("/caf\\xe9.png")
    assert "caf\\xe9.png" in done.out


def test_the_header_counts_the_files_that_are_passed_over(tiny_run, tmp_path, verb):
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    for name in ("b.heic", "c.heic", ".d.png"):
        (tmp_path / name).write_bytes(b"x")
    options = (f"run={tiny_run.path}", "accelerator=cpu", f"output={tmp_path / 'found.csv'}")
    done = verb("predict", *options, f"images={tmp_path}")
    assert done.code == 0, done.err
    assert "passed over  2 .heic, 1 hidden" in done.out
