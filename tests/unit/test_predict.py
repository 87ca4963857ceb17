"""The selection of images and the predictions for them."""

import pytest
import torch

from vgg_lit.data.image_formats import ENDINGS
from vgg_lit.errors import InputError
from vgg_lit.evaluation.prediction import find_images, likeliest, load_trained


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.JPG", "notes.txt", "deep/c.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_a_folder_includes_its_subfolders(folder):
    found = [path.removeprefix(f"{folder}/") for path in find_images(str(folder))]
    assert found == ["a.JPG", "b.png", "deep/c.jpeg"]


def test_a_file_or_a_glob_selects_images(folder):
    assert find_images(str(folder / "notes.txt")) == [str(folder / "notes.txt")]
    assert find_images(str(folder / "*.png")) == [str(folder / "b.png")]
    assert find_images(str(folder / "**" / "*.jpeg")) == [str(folder / "deep" / "c.jpeg")]


def test_hidden_files_and_links_that_are_read_already_are_passed_over(folder):
    for name in (".a.png", "._a.png", ".cache/a.png", "__MACOSX/a.png", "deep/.DS_Store"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "again").symlink_to(folder / "deep")
    found = [path.removeprefix(f"{folder}/") for path in find_images(str(folder))]
    assert found == ["a.JPG", "b.png", "deep/c.jpeg"]


def test_all_formats_are_found(tmp_path):
    names = sorted(f"a{ending}" for ending in ENDINGS)
    for name in (*names, "a.heic"):
        (tmp_path / name).write_bytes(b"x")
    assert find_images(str(tmp_path)) == [str(tmp_path / name) for name in names]


def test_a_tilde_is_expanded(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    assert find_images("~/b.png") == [str(folder / "b.png")]


@pytest.mark.parametrize("pattern", ["nowhere", "*.gif", "nowhere/*.png"])
def test_no_matching_image_is_an_error(pattern, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match="no such file or folder"):
        find_images(pattern)


def test_classes_are_sorted_by_probability(tiny_run):
    predictor = load_trained(tiny_run.checkpoint(), "cpu")
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 1, 28, 28), generator=draws, dtype=torch.uint8)
    probabilities = predictor.probabilities(images)
    rows = likeliest(probabilities, predictor.classes, top_k=99)
    for row, expected in zip(rows, probabilities, strict=True):
        assert row[0][0] == predictor.classes[int(expected.argmax())]
        assert [p for _, p in row] == sorted((p for _, p in row), reverse=True)
        assert sum(p for _, p in row) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["run: is needed", "model=<exported model>"]),
        (("run=x", "model=y"), ["either run="]),
        (("model=nowhere",), ["model=nowhere: there is no such file or folder"]),
        (("model=.",), ["model=.", "no model.onnx"]),
        (("model=model.pt2",), ["model.pt2", "may run code", ".onnx"]),
        (("model=a.onnx", "checkpoint=last"), ["checkpoint=last", "goes with run"]),
        (("model=a.onnx", "accelerator=gpu"), ["accelerator=gpu", "CPU"]),
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
