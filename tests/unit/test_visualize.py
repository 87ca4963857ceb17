"""The figures and the report of a run, compared with the run."""

import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from vgg_lit.config.schema import Figure
from vgg_lit.data import FashionMNISTSample
from vgg_lit.evaluation.trained import find_trained
from vgg_lit.reports import catalogue
from vgg_lit.reports.inspection import Inspection
from vgg_lit.reports.network_pictures import maps
from vgg_lit.reports.picture import Choice
from vgg_lit.reports.prediction_pictures import confusion, galleries
from vgg_lit.runs import Run

metrics = pytest.importorskip("sklearn.metrics")

CHOICE = Choice(images=6, image=None, layers=None, embeddings=20)


@pytest.fixture
def run(tiny_run, tmp_path, monkeypatch):
    """A writable copy of the tiny run."""
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "run"
    shutil.copytree(tiny_run.path, copy, ignore=shutil.ignore_patterns("figures", "report.html"))
    return Run(copy)


@pytest.fixture(scope="module")
def inspection(tiny_run):
    return Inspection(find_trained([tiny_run], "best")[0], accelerator="cpu")


def error_of(finished):
    assert finished.code == 2, finished.out + finished.err
    assert finished.err.count("\n") == 1, finished.err
    return finished.err


def test_every_image_has_a_row_in_the_predictions(verb, run):
    done = verb("visualize", f"run={run.path}", "accelerator=cpu", "figures=[wrong_labels]")
    assert done.code == 0, done.err
    drawn = (run.path / "predictions_test.csv").read_text()
    assert verb("evaluate", f"run={run.path}", "accelerator=cpu").code == 0
    assert drawn == (run.path / "predictions_test.csv").read_text()
    assert len(drawn.splitlines()) == 41


def test_the_predictions_of_another_checkpoint_or_precision_do_not_replace_those_of_the_run(
    verb, run
):
    common = (f"run={run.path}", "accelerator=cpu", "figures=[galleries]")
    for option in ("checkpoint=last", "precision=bf16-mixed"):
        done = verb("visualize", *common, option)
        assert done.code == 0, done.err
        assert not (run.path / "predictions_test.csv").exists()
        (file,) = (run.path / "evaluations").glob("predictions_*.csv")
        assert f"{file.name} lists all images" in (run.path / "report.html").read_text("utf-8")
        drawn = file.read_text()
        file.unlink()
        assert verb("evaluate", f"run={run.path}", "accelerator=cpu", option).code == 0
        assert file.read_text() == drawn
        file.unlink()


def test_every_figure_is_drawn_and_in_the_report(verb, run):
    pytest.importorskip("captum")
    done = verb("visualize", f"run={run.path}", "accelerator=cpu", "images=5", "embeddings=20")
    assert done.code == 0, done.err
    assert "left out" not in done.out
    names = {path.stem for path in (run.path / "figures").iterdir()}
    assert names == {
        "history",
        "confusion",
        "classes",
        "pairs",
        "gallery_right",
        "gallery_wrong",
        "gallery_worst",
        "wrong_labels",
        "calibration",
        "filters",
        "activations",
        "embeddings_pca",
        "embeddings_tsne",
        "attributions",
        "receptive_field",
        "augmentation",
    }
    for path in (run.path / "figures").iterdir():
        pixels = np.asarray(Image.open(path).convert("L"))
        assert pixels.std() > 5, path
        assert pixels.shape[1] < 1300, path  # fits a screen at 100 %
    page = (run.path / "report.html").read_text()
    assert page.count("<img ") == len(names)
    assert f"{100 * run.metrics['test/acc']:.2f} %" in page
    assert f"{run.metrics['test/loss']:.4f}" in page


def test_figures_in_several_formats(verb, run):
    done = verb(
        "visualize", f"run={run.path}", "accelerator=cpu", "figures=[filters]", "formats=pdf,svg"
    )
    assert done.code == 0, done.err
    names = {path.name for path in (run.path / "figures").iterdir()}
    assert names == {"filters.png", "filters.pdf", "filters.svg"}
    assert (run.path / "figures" / "filters.pdf").read_bytes().startswith(b"%PDF")
    assert "formats" in error_of(verb("visualize", f"run={run.path}", "formats=[gif]"))


def test_the_schema_lists_every_figure():
    assert list(Figure.__args__) == list(catalogue.DRAWN)


def test_predictions_match_the_test_metrics(inspection, tiny_run):
    found = inspection.predictions
    accuracy = metrics.accuracy_score(found.labels_N, found.predicted_N)
    assert accuracy == pytest.approx(tiny_run.metrics["test/acc"])
    of_labels = found.probabilities_NK.gather(1, found.labels_N[:, None])
    loss = float(-of_labels.log().mean())
    assert loss == pytest.approx(tiny_run.metrics["test/loss"], rel=1e-4)


def test_galleries_show_the_source_images(inspection):
    module = inspection.datamodule
    ids = torch.cat([ids for _, _, ids in module.test_dataloader()])
    images = FashionMNISTSample().load("test").images_NCHW[ids]
    expected = np.pad(images[:, 0], ((0, 0), (2, 2), (2, 2))) / 255
    positions = [3, 39, 0, 3]
    shown = inspection.shown(positions)
    assert np.abs(shown[..., 0] - expected[positions]).max() < 1 / 255
    (_, _, worst) = galleries(inspection, CHOICE)
    drawn = [image.get_array() for image in worst.figure.axes[0].images]
    positions = inspection.predictions.worst(CHOICE.images)
    assert np.abs(np.array(drawn) - expected[positions]).max() < 1 / 255


def test_captions_have_class_prediction_and_confidence(inspection):
    (_, wrong, _) = galleries(inspection, CHOICE)
    found, classes = inspection.predictions, inspection.classes
    captions = [text.get_text() for text in wrong.figure.axes[0].texts[1:]]
    assert captions
    for caption, position in zip(captions, found.wrong(CHOICE.images), strict=True):
        true, predicted = found.labels_N[position], found.predicted_N[position]
        sure = f"{100 * found.confidence_N[position]:.0f} %"
        *outcome, name = caption.split("\n")
        assert outcome == [classes[true], f"→ {classes[predicted]}", sure]
        assert name == f"image {inspection.names[position]}"


def test_the_confusion_figure_is_scikit_learns(inspection):
    (picture,) = confusion(inspection, CHOICE)
    found = inspection.predictions
    expected = metrics.confusion_matrix(found.labels_N, found.predicted_N, labels=range(10))
    texts = picture.figure.axes[0].texts
    shown = {tuple(map(round, text.get_position())): text.get_text() for text in texts}
    assert shown == {(c, r): f"{expected[r, c]}" for r, c in np.argwhere(expected)}


def test_the_report_has_scikit_learns_scores(verb, run, inspection):
    done = verb("visualize", f"run={run.path}", "accelerator=cpu", "figures=[filters]")
    assert done.code == 0, done.err
    found = inspection.predictions
    scores = metrics.precision_recall_fscore_support(
        found.labels_N, found.predicted_N, labels=range(10), zero_division=0
    )
    page = (run.path / "report.html").read_text()
    for k, name in enumerate(inspection.classes):
        (row,) = re.findall(rf"<tr><td[^>]*>{re.escape(name)}</td>(.*?)</tr>", page)
        precision, recall, f1 = (f"{100 * score[k]:.1f} %" for score in scores[:3])
        cells = re.findall(r">([^<]+)</td>", row)
        assert cells == [str(scores[3][k]), recall, precision, f1]


def test_a_custom_image_and_chosen_layers(verb, run, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40), np.uint8)).save("own.png")
    names = "figures=[activations,receptive_field]"
    layers = "layers=[block1_relu1,block3_pool]"
    done = verb("visualize", f"run={run.path}", "accelerator=cpu", names, layers, "image=own.png")
    assert done.code == 0, done.err
    files = sorted(path.name for path in (run.path / "figures").iterdir())
    assert files == ["activations.png", "receptive_field.png"]


def test_activation_maps_match_a_forward_hook(inspection):
    choice = Choice(6, None, ["block2_conv1"], 20)
    (picture,) = maps(inspection, choice)
    kept = []
    layer = inspection.net.layer("block2_conv1")
    handle = layer.register_forward_hook(lambda *arguments: kept.append(arguments[-1].clone()))
    position = int(inspection.predictions.right(1)[:1].sum())
    with torch.no_grad():
        inspection.net(inspection.inputs([position]))
    handle.remove()
    drawn = [image.get_array() for image in picture.figure.axes[0].images[1:]]
    expected = kept[0][0].numpy()
    order = np.argsort(-np.abs(expected).mean(axis=(1, 2)), kind="stable")[: len(drawn)]
    np.testing.assert_array_equal(np.array(drawn), expected[order])


def test_figures_of_a_missing_extra_are_omitted_unless_requested(verb, run, monkeypatch):
    find = catalogue.find_spec
    monkeypatch.setattr(
        catalogue, "find_spec", lambda name: None if name == "captum" else find(name)
    )
    error = error_of(verb("visualize", f"run={run.path}", "figures=[attributions]"))
    assert 'attributions needs captum: pip install "vgg_lit[visualize]"' in error
    assert not (run.path / "report.html").exists()
    few = {name: catalogue.DRAWN[name] for name in ("filters", "attributions")}
    monkeypatch.setattr(catalogue, "DRAWN", few)
    done = verb("visualize", f"run={run.path}", "accelerator=cpu")
    assert done.code == 0, done.err
    assert "attributions: needs captum" in done.out
    assert "attributions: needs captum" in (run.path / "report.html").read_text()


def test_a_run_without_metrics_csv_has_no_history(verb, run):
    run.metrics_file.unlink()
    error = error_of(verb("visualize", f"run={run.path}", "figures=[history]", "accelerator=cpu"))
    assert "history: the run has no metrics.csv" in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("figures=[histery]",), ["figures", "'history'"]),
        (("layers=[block1_con1]",), ["unknown layer 'block1_con1'", "block1_conv1"]),
        (("image=nowhere.png",), ["nowhere.png", "no such image"]),
        (("image=config.yaml",), ["config.yaml", "not a PNG, JPEG"]),
        (("checkpoint=worst",), ["checkpoint=worst", "best, last"]),
        (("split=train",), ["split=train"]),
        (("layers=[fc6]", "figures=[activations]", "accelerator=cpu"), ["fc6 has no maps"]),
        (("embeddings=3",), ["embeddings=3"]),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(arguments, words, verb, run, monkeypatch):
    monkeypatch.chdir(run.path)
    error = error_of(verb("visualize", f"run={run.path}", *arguments))
    assert all(word in error for word in words), error
    assert not (run.path / "report.html").exists()


def test_a_run_without_a_checkpoint_and_a_damaged_image_are_one_line(verb, run):
    own = run.path / "own.png"
    own.write_bytes(b"\x89PNG no image")
    assert "own.png" in error_of(verb("visualize", f"run={run.path}", f"image={own}"))
    shutil.rmtree(run.checkpoints)
    error = error_of(verb("visualize", f"run={run.path}"))
    assert "the run has not written any" in error
    assert not (run.path / "report.html").exists()


def test_a_missing_run_is_one_line(verb, tmp_path):
    assert "there is no such directory" in error_of(verb("visualize", f"run={tmp_path / 'none'}"))
