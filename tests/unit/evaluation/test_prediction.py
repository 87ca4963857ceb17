"""The selection of images, and their likeliest classes."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from vgg_lit.data.image_formats import ENDINGS
from vgg_lit.errors import InputError, TrainingError
from vgg_lit.evaluation.prediction import (
    Predictor,
    classify,
    classify_tensor,
    find_images,
    likeliest,
    load_trained,
)
from vgg_lit.evaluation.trained import find_trained


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.JPG", "notes.txt", "deep/c.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def names(found, folder):
    return [Path(path).relative_to(folder).as_posix() for path in found.paths]


def test_a_folder_includes_its_subfolders(folder):
    assert names(find_images(str(folder)), folder) == ["a.JPG", "b.png", "deep/c.jpeg"]


def test_a_file_or_a_glob_selects_images(folder):
    assert find_images(str(folder / "notes.txt")).paths == [str(folder / "notes.txt")]
    assert find_images(str(folder / "*.png")).paths == [str(folder / "b.png")]
    assert find_images(str(folder / "**" / "*.jpeg")).paths == [str(folder / "deep" / "c.jpeg")]


def test_a_list_selects_each_image_once(folder):
    found = find_images([f"{folder}/{n}" for n in ("b.png", "*.JPG", "deep", "b.png")])
    assert names(found, folder) == ["b.png", "a.JPG", "deep/c.jpeg"]
    with pytest.raises(InputError, match="images=nowhere: no such file"):
        find_images([str(folder), "nowhere"])


def test_hidden_files_and_links_that_are_read_already_are_passed_over(folder):
    for name in (".a.png", "._a.png", ".cache/a.png", "__MACOSX/a.png", "deep/.DS_Store"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "again").symlink_to(folder / "deep")
    found = find_images(str(folder))
    assert names(found, folder) == ["a.JPG", "b.png", "deep/c.jpeg"]
    assert found.passed_over == {
        "hidden": 4,
        "__MACOSX/": 1,
        ".txt": 1,
        "links to folders that are read already": 1,
    }


def test_files_that_are_passed_over_are_counted_in_all_folders(folder):
    (folder / "other").mkdir()
    for name in ("a.HEIC", "b.heic", "c.png"):
        (folder / "other" / name).write_bytes(b"x")
    named = [str(folder / "deep"), str(folder / "other"), str(folder / "b.png")]
    found = find_images(named)
    assert len(found.paths) == 3
    assert found.passed_over == {".heic": 2}
    assert find_images(str(folder / "*")).passed_over == {"folders": 2}
    (folder / "other/c.png").unlink()
    with pytest.raises(InputError, match=r"holds no image \(2 .heic passed over\); allowed: .png"):
        find_images(str(folder / "other"))


def test_all_formats_are_found(tmp_path):
    names = sorted(f"a{ending}" for ending in ENDINGS)
    for name in (*names, "a.heic"):
        (tmp_path / name).write_bytes(b"x")
    assert find_images(str(tmp_path)).paths == [str(tmp_path / name) for name in names]


def test_a_tilde_is_expanded(folder, set_home):
    set_home(folder)
    assert find_images("~/b.png").paths == [str(folder / "b.png")]


@pytest.mark.parametrize("pattern", ["nowhere", "*.gif", "nowhere/*.png"])
def test_no_matching_image_is_an_error(pattern, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match="no such file or folder"):
        find_images(pattern)


def test_classes_are_sorted_by_probability(tiny_run):
    (trained,) = find_trained([tiny_run], "best")
    predictor = load_trained(trained, "cpu", precision=None)
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 1, 28, 28), generator=draws, dtype=torch.uint8)
    probabilities = predictor.probabilities(images)
    rows = likeliest(probabilities, predictor.classes, top_k=99)
    for row, expected in zip(rows, probabilities, strict=True):
        assert row[0][0] == predictor.classes[int(expected.argmax())]
        assert [p for _, p in row] == sorted((p for _, p in row), reverse=True)
        assert sum(p for _, p in row) == pytest.approx(1, abs=1e-5)


def predictor(ranges=None, classes=("a", "b", "c")):
    """A network whose probabilities are those of the first pixel of an image, in tenths."""

    def probabilities(images_BCHW):
        first_B = images_BCHW[:, 0, 0, 0].float() / 10
        return torch.stack([first_B, 1 - first_B, torch.zeros_like(first_B)], 1)

    return Predictor(probabilities, classes, 1, 2, "crop", ranges)


def test_files_that_cannot_be_read_are_reported_beside_the_others(tmp_path):
    paths = [str(tmp_path / name) for name in ("0.png", "bad.png", "1.png", "none.png")]
    for path, level in ((paths[0], 9), (paths[2], 2)):
        Image.new("L", (2, 2), level).save(path)
    (tmp_path / "bad.png").write_bytes(b"x")
    for size in (1, 2, 10):
        predictions, unreadable = classify(paths, predictor(), size, top_k=1)
        assert [found.path for found in predictions] == [paths[0], paths[2]]
        assert [found.likeliest[0][0] for found in predictions] == ["a", "b"]
        assert ["bad.png" in str(unreadable[0]), "none.png" in str(unreadable[1])] == [True, True]
    assert classify([], predictor(), 2, top_k=1) == ([], [])


@pytest.mark.parametrize("top_k", [1, 2, 99])
def test_at_most_all_classes_are_named(top_k):
    images = torch.full((2, 1, 2, 2), 7, dtype=torch.uint8)
    for found in classify_tensor(images, ["x", "y"], predictor(), top_k):
        assert len(found.likeliest) == min(top_k, 3)
        assert found.likeliest[0] == ("a", pytest.approx(0.7))


def test_pixels_are_inverted_without_changing_the_images():
    images = torch.full((1, 1, 2, 2), 253, dtype=torch.uint8)
    (found,) = classify_tensor(images, ["x"], predictor(), 1, invert=True)
    assert found.likeliest == [("b", pytest.approx(0.8))]
    assert (images == 253).all()


def test_differences_that_an_inverted_image_does_not_have():
    class Dark:
        def differences(self, images_BCHW):
            return [["bright"] if image.float().mean() > 127 else [] for image in images_BCHW]

    images = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 1, 2, 2)
    dark, bright = classify_tensor(images, ["x", "y"], predictor(Dark()), 1)
    assert (dark.differences, dark.is_like_inverted) == ([], False)
    assert (bright.differences, bright.is_like_inverted) == (["bright"], True)


def test_an_output_that_is_not_finite_is_an_error():
    broken = Predictor(lambda x: torch.full((len(x), 2), float("nan")), "ab", 1, 2, "crop")
    with pytest.raises(TrainingError, match="the network's output is not finite"):
        classify_tensor(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), ["x"], broken, 1)
