"""Evaluation and prediction read the normalisation of a run from its checkpoint."""

import csv
import json

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from vgg_lit.data import FashionMNISTSample


def preprocessing_of(run):
    return torch.load(run.checkpoint(), weights_only=True)["hyper_parameters"]["preprocessing"]


@pytest.mark.parametrize("normalize", ["mean", "none"])
def test_evaluation_and_prediction_use_the_normalisation_of_training(
    normalize, train, verb, tmp_path
):
    run = train(tmp_path / "run", f"data.normalize={normalize}")
    preprocessing = preprocessing_of(run)
    assert preprocessing["std"] == [1.0]
    assert (preprocessing["mean"] == [0.0]) == (normalize == "none")

    done = verb("evaluate", f"run={run.path}", "accelerator=cpu")
    assert done.code == 0, done.err
    (file,) = run.path.glob("evaluations/*.json")
    found = json.loads(file.read_text())["metrics"]
    assert found == {k: v for k, v in run.metrics.items() if k.startswith("test/")}

    pixels = FashionMNISTSample().load("test").images_NCHW[0, 0]
    Image.fromarray(pixels.numpy()).save(tmp_path / "image.png")
    done = verb("predict", f"run={run.path}", f"images={tmp_path / 'image.png'}", "top_k=10")
    assert done.code == 0, done.err
    with (run.path / "predictions.csv").open() as lines:
        (row,) = csv.DictReader(lines)
    x = torch.nn.functional.pad(pixels[None, None] / 255, [2] * 4) - preprocessing["mean"][0]
    classifier = run.load_classifier()
    with torch.no_grad():
        probabilities = classifier(x).softmax(1)[0]
    for k in range(1, 11):
        expected = probabilities[classifier.classes.index(row[f"class{k}"])].item()
        assert float(row[f"probability{k}"]) == pytest.approx(expected, abs=2e-6)


def test_a_run_without_a_normalize_setting_resumes_and_is_evaluated(train, resume, verb, tmp_path):
    run = train(tmp_path / "run", "trainer.max_epochs=2", "trainer.max_steps=4")
    config = OmegaConf.load(run.config_file)
    del config.data.normalize
    config.trainer.max_steps = -1
    OmegaConf.save(config, run.config_file)
    for name in ("best", "last"):
        content = torch.load(run.checkpoint(name), weights_only=True)
        del content["ImageDataModule"]
        torch.save(content, run.checkpoint(name))
        run.checkpoints.joinpath(f"{name}.ckpt.sha256").unlink()
    before = preprocessing_of(run)
    assert verb("evaluate", f"run={run.path}", "accelerator=cpu").code == 0
    resume(run, "trainer.max_epochs=2")
    assert torch.load(run.checkpoint("last"), weights_only=True)["global_step"] == 8
    assert preprocessing_of(run) == before
    assert before["std"] != [1.0]
