"""Which images are meant, and what is said of them."""

import pytest
import torch

from vgg_lit.errors import InputError
from vgg_lit.predict import classify, find_images


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.JPG", "notes.txt", "deep/c.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_a_folder_means_its_images_and_those_of_its_subfolders(folder):
    found = [path.removeprefix(f"{folder}/") for path in find_images(str(folder))]
    assert found == ["a.JPG", "b.png", "deep/c.jpeg"]


def test_a_file_means_itself_and_a_glob_what_it_matches(folder):
    assert find_images(str(folder / "notes.txt")) == [str(folder / "notes.txt")]
    assert find_images(str(folder / "*.png")) == [str(folder / "b.png")]
    assert find_images(str(folder / "**" / "*.jpeg")) == [str(folder / "deep" / "c.jpeg")]


def test_home_is_home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    assert find_images("~/b.png") == [str(folder / "b.png")]


@pytest.mark.parametrize("pattern", ["nowhere", "*.gif", "nowhere/*.png"])
def test_nothing_found_says_so(pattern, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match="no such file or folder"):
        find_images(pattern)


def test_the_likeliest_classes_come_first(tiny_run):
    classifier = tiny_run.load_classifier()
    x = torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    rows = classify(classifier, x, top_k=10)
    with torch.no_grad():
        probabilities = classifier(x).softmax(1)
    for row, expected in zip(rows, probabilities, strict=True):
        assert row[0][0] == classifier.classes[int(expected.argmax())]
        assert [p for _, p in row] == sorted((p for _, p in row), reverse=True)
        assert sum(p for _, p in row) == pytest.approx(1, abs=1e-5)
