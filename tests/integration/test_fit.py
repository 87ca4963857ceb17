"""Images that are not square are seen alike in training, evaluation, prediction and an export."""

import json
import shutil

import numpy as np
import pytest
import torch
from folder_options import folder_options
from PIL import Image

from vgg_lit.data import Preprocessing, read_image
from vgg_lit.models.dense import DenseVGG
from vgg_lit.runs import Run
from vgg_lit.tables import read_csv

pytestmark = pytest.mark.usefixtures("image_cache")

CLASSES = ("bee", "cow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Forty pictures, three times as wide as high; only their ends tell the classes."""
    folder = tmp_path_factory.mktemp("images") / "wide"
    draws = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for index in range(20):
            pixels = draws.integers(90, 160, (16, 48, 3), dtype=np.uint8)
            ends = [slice(0, 8), slice(40, 48)]
            for end in ends:
                pixels[:, end] = draws.integers(200 * label, 200 * label + 56, (16, 8, 3))
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def run(train, folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "pad"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        return train(path, *folder_options(folder, "data.fit=pad", "trainer.max_epochs=2"))


def probabilities(run, folder, names):
    """The reference: the padding by hand, then the network of the checkpoint."""
    classifier = run.load_classifier().eval()
    prepare = Preprocessing.from_dict(classifier.preprocessing)
    rows = []
    for name in names:
        small = Image.open(folder / name).convert("RGB").resize((32, 11), Image.Resampling.BILINEAR)
        square = Image.new("RGB", (32, 32))
        square.paste(small, (0, 10))
        pixels = torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1)
        assert torch.equal(pixels, read_image(folder / name, 3, 32, fit="pad"))
        rows.append(pixels)
    with torch.inference_mode():
        return classifier(prepare(torch.stack(rows))).softmax(1)


def test_evaluation_prediction_and_export_pad_as_training_did(
    run, folder, tmp_path, verb, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    own = ["accelerator=cpu", f"run={run.path}"]
    done = verb("evaluate", *own)
    assert done.code == 0, done.err
    tested = {row["image"]: row for row in read_csv(run.path / "predictions_test.csv")}
    expected = probabilities(run, folder, tested)
    for (name, row), found in zip(tested.items(), expected, strict=True):
        assert float(row["probability"]) == pytest.approx(float(found.max()), abs=1e-4), name
    assert run.metrics["test/acc"] == pytest.approx(
        sum(row["true"] == row["predicted"] for row in tested.values()) / len(tested)
    )
    # the same folder given as other data, and predict
    done = verb("evaluate", *own, "data=image_folder", f"data.root={folder}")
    assert done.code == 0, done.err
    done = verb("predict", *own, f"images={folder}", "output=predictions.csv", "top_k=1")
    assert done.code == 0, done.err
    for row in read_csv(tmp_path / "predictions.csv"):
        name = row["image"].removeprefix(f"{folder}/")
        if name in tested:
            probability = float(tested[name]["probability"])
            assert float(row["probability1"]) == pytest.approx(probability, abs=1e-4)
    pytest.importorskip("onnxruntime")
    done = verb("export", f"run={run.path}", "formats=[onnx]", "output=exported")
    assert done.code == 0, done.err
    described = json.loads((tmp_path / "exported/model.json").read_text())["input"]
    assert described["fit"] == "pad"
    assert "the longer side resized to 32 pixels" in described["from_a_file"]
    assert "ImageOps.pad(image, (side, side)" in (tmp_path / "exported/README.md").read_text()
    done = verb("predict", "model=exported", f"images={folder}", "output=of_export.csv", "top_k=1")
    assert done.code == 0, done.err
    of_run, of_export = (
        [float(row["probability1"]) for row in read_csv(tmp_path / name)]
        for name in ("predictions.csv", "of_export.csv")
    )
    assert of_export == pytest.approx(of_run, abs=1e-4)


def test_networks_with_other_fits_are_not_fused(run, train, folder, tmp_path, verb, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = train(tmp_path / "crop", *folder_options(folder))
    assert other.load_classifier().preprocessing["fit"] == "crop"
    done = verb("evaluate", f"run=[{run.path},{other.path}]", "accelerator=cpu")
    assert done.code == 2
    assert "was trained with data.fit=crop, these images are read with pad" in done.err


def test_dense_evaluation_sees_the_whole_image(train, folder, tmp_path, verb, monkeypatch):
    """Only the ends of the images tell the classes; a network that saw the centre is no reference."""
    monkeypatch.chdir(tmp_path)
    options_ = folder_options(
        folder, "augment=paper", "data.source.size=40", "augment.jitter.max_scale=40"
    )
    run = train(tmp_path / "run", *options_, "model=vgg11_bn", "trainer.max_epochs=2")
    done = verb("evaluate", f"run={run.path}", "accelerator=cpu", "dense=true", "scales=[40]")
    assert done.code == 0, done.err
    (file,) = (run.path / "evaluations").glob("predictions_*.csv")
    rows = read_csv(file)
    net = DenseVGG(run.load_classifier().eval().net)
    prepare = Preprocessing.from_dict(run.load_classifier().preprocessing)
    for row in rows:
        image = Image.open(folder / row["image"])
        pixels = np.asarray(image.resize((120, 40), Image.Resampling.BILINEAR)).copy()
        x_BCHW = prepare.normalize(torch.from_numpy(pixels).permute(2, 0, 1)[None])
        with torch.inference_mode():
            expected = net(x_BCHW).softmax(1).max()
        assert float(row["probability"]) == pytest.approx(float(expected), abs=1e-4)


def test_a_resumed_run_can_change_the_fit(run, resume, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    stretched = resume(Run(tmp_path / "run"), "data.fit=stretch")
    assert stretched.config["data"]["source"]["fit"] == "stretch"
    assert stretched.metrics["val/loss"] == run.metrics["val/loss"]  # all epochs were done
