"""Training on an image folder, held in memory or decoded on the fly, in the layouts that people have."""

import os
import shutil

import pytest
import torch
from folder_options import folder_options
from PIL import Image

from vgg_lit.errors import InputError

pytestmark = pytest.mark.usefixtures("image_cache")

CLASSES = ("bee", "cow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Forty pictures in two class folders, the cows lighter."""
    folder = tmp_path_factory.mktemp("images")
    draws = torch.Generator().manual_seed(0)
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir()
        for index in range(20):
            pixels = torch.randint(0, 128, (12, 12, 3), generator=draws) + 120 * label
            Image.fromarray(pixels.to(torch.uint8).numpy()).save(folder / name / f"{index}.png")
    return folder


def options(folder, *more):
    exact_shares = "data.splitting=stratified"
    return folder_options(folder, "data.image_size=32", exact_shares, *more)


def weights(run):
    return torch.load(run.checkpoint("last"), weights_only=True)["state_dict"]


def test_the_folder_determines_the_number_of_classes(train, folder, tmp_path):
    run = train(tmp_path / "run", *options(folder))
    assert run.config["data"]["num_classes"] == 2
    assert run.config["model"]["num_classes"] == 2
    classifier = run.load_classifier()
    assert classifier.classes == CLASSES
    assert classifier(torch.zeros(1, 3, 32, 32)).shape == (1, 2)


def test_workers_and_caching_do_not_change_the_weights(train, folder, tmp_path):
    in_memory = weights(train(tmp_path / "memory", *options(folder)))
    streamed = "data.source.in_memory=false"
    for number in (0, 2):
        workers = f"data.source.num_workers={number}"
        found = weights(train(tmp_path / f"{number}", *options(folder, streamed, workers)))
        assert list(found) == list(in_memory)
        for name in in_memory:
            assert torch.equal(found[name], in_memory[name]), (number, name)


def test_a_damaged_image_stops_a_streamed_run_by_name(train, folder, tmp_path):
    copy = tmp_path / "images"
    shutil.copytree(folder, copy)
    (copy / "bee" / "0.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(InputError, match=r"0\.png"):
        train(tmp_path / "run", *options(copy, "data.source.in_memory=false"))


def test_without_validation_the_last_epoch_is_tested(train, tmp_path):
    run = train(
        tmp_path / "run",
        "data.val_fraction=0",
        "data.train_size=null",
        "data.batch_size=1000",
        "trainer.max_epochs=2",
    )
    assert {path.name for path in run.checkpoints.glob("*.ckpt")} == {"last.ckpt", "previous.ckpt"}
    checkpoint = torch.load(run.checkpoint("best"), weights_only=True)
    assert checkpoint["global_step"] == 12  # all 6,000 images, in each of the two epochs
    assert not [name for name in run.metrics if name.startswith("val/")]
    assert 0 <= run.metrics["test/acc"] <= 1
    assert run.metrics["lr"] == pytest.approx(
        checkpoint["optimizer_states"][0]["param_groups"][0]["lr"], abs=1e-3
    )


def fill(folder, classes, num, ending="png", side=12):
    """Writes images whose colour is their class."""
    draws = torch.Generator().manual_seed(num)
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(num):
            pixels = torch.randint(0, 60, (side, side, 3), generator=draws)
            pixels[..., label % 3] += 160
            path = folder / name / f"{index:03}.{ending}"
            Image.fromarray(pixels.to(torch.uint8).numpy()).save(path)


def undivided(root):
    fill(root / "dataset", CLASSES, 20)


def splits(*names):
    def make(root):
        for number, name in enumerate(names):
            fill(root / name, CLASSES, 20 - 8 * (number > 0))

    return make


def hidden(root):
    fill(root, CLASSES, 20)
    for folder in (root / ".ipynb_checkpoints", root / "bee/.ipynb_checkpoints", root / "__MACOSX"):
        folder.mkdir()
        (folder / "000.png").write_bytes(b"x")
    (root / "bee/._000.png").write_bytes(b"x")


def formats(root):
    fill(root, CLASSES, 4)
    for ending in ("jpg", "webp", "bmp", "tif", "gif"):
        fill(root, CLASSES, 4, ending)
    (root / "cow/001.heic").write_bytes(b"x")


def motion(root):
    fill(root, CLASSES, 20, "jpg")
    for path in root.glob("bee/*.jpg"):
        film = torch.randint(0, 256, (20_000,), generator=torch.Generator().manual_seed(0))
        path.write_bytes(path.read_bytes() + bytes(film.tolist()))


def latin1(root):
    fill(root, CLASSES, 20)
    (root / "bee/000.png").rename(root / "bee" / os.fsdecode(b"caf\xe9.png"))


def linked(root):
    fill(root.parent / "elsewhere", CLASSES, 10)
    fill(root, CLASSES, 10, "jpg")
    for name in CLASSES:
        (root / name / "more").symlink_to(root.parent / "elsewhere" / name)
        (root / name / "again").symlink_to(root / name)


def damaged(root):
    fill(root, CLASSES, 20)
    for number in range(3):
        (root / "bee" / f"9{number}.png").write_bytes(b"x")


def single(root):
    fill(root, CLASSES, 1)


def few(root):
    fill(root, CLASSES, 3)


LEARNED = {
    "undivided": (undivided, "26 train, 6 val, 8 test", "dataset/: undivided, 20 %"),
    "kaggle": (splits("Training", "Testing"), "32 train, 8 val, 24 test", "Training/ for training"),
    "train_val": (
        splits("train", "val"),
        "32 train, 8 val, 24 test",
        "val/ is held out as the test",
    ),
    "three": (
        splits("train", "test", "valid"),
        "40 train, 24 val, 24 test",
        "valid/ for validation",
    ),
    "hidden": (hidden, "26 train, 6 val, 8 test", "3 hidden, 1 __MACOSX/"),
    "formats": (formats, "30 train, 8 val, 10 test", "passed over  1 .heic"),
    "motion": (motion, "26 train, 6 val, 8 test", "20 images each"),
    "latin1": (latin1, "26 train, 6 val, 8 test", "20 images each"),
    "linked": (linked, "26 train, 6 val, 8 test", "2 links to folders that are read already"),
}


@pytest.mark.parametrize("name", LEARNED)
def test_folders_as_people_have_them_are_learned(train, tmp_path, capsys, name):
    make, sizes, words = LEARNED[name]
    root = tmp_path / "images"
    make(root)
    more = ("trainer.max_epochs=6", "model.width=0.125")
    run = train(tmp_path / "run", *options(root, *more))
    out = capsys.readouterr().out
    assert f"image_folder: {sizes}; 2 classes" in out
    assert "bee, cow; " in out
    assert words in out
    assert run.load_classifier().classes == CLASSES
    assert run.metrics["test/acc"] == 1


REFUSED = {
    "damaged": (damaged, (), r"3 of 43 images .*90\.png .*91\.png .*92\.png"),
    "single": (single, (), "each of the 2 classes has one image"),
    "batch": (few, (), r"data\.batch_size=8: larger than the 3 .*=3 or less"),
    "validation": (
        few,
        ("data.batch_size=1", "data.val_fraction=0.1"),
        r"data\.val_fraction=0\.1: leaves 0 of 4 .* callbacks\.checkpointing\.monitor=val/loss .*0\.25",
    ),
    "plateau": (
        few,
        (
            *("data.batch_size=1", "data.val_fraction=0.1", "scheduler=plateau"),
            "callbacks.checkpointing=null",
        ),
        "but scheduler=plateau needs them",
    ),
    "early stopping": (
        few,
        (
            *("data.batch_size=1", "data.val_fraction=0", "callbacks=[default,early_stopping]"),
            "callbacks.checkpointing=null",
        ),
        r"callbacks\.early_stopping\.monitor=val/acc",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_folders_that_cannot_be_learned_are_refused_before_a_run_exists(train, tmp_path, name):
    make, overrides, words = REFUSED[name]
    root = tmp_path / "images"
    make(root)
    with pytest.raises(InputError, match=words) as caught:
        train(tmp_path / "run", *options(root, *overrides))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_few_images_are_trained_without_validation(train, tmp_path, capsys):
    few(tmp_path / "images")
    small = ("data.batch_size=2", "data.val_fraction=0")
    run = train(tmp_path / "run", *options(tmp_path / "images", *small))
    assert "image_folder: 4 train, 2 test; 2 classes" in capsys.readouterr().out
    assert "test/acc" in run.metrics


@pytest.mark.parametrize("in_memory", ["true", "false"])
def test_damaged_images_are_left_out_and_recorded(train, tmp_path, capsys, in_memory):
    damaged(tmp_path / "images")
    settings = ("data.source.damaged=skip", f"data.source.in_memory={in_memory}")
    run = train(tmp_path / "run", *options(tmp_path / "images", *settings))
    assert "left out  3 damaged images" in capsys.readouterr().out
    lines = (run.path / "damaged.txt").read_text().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["bee/90.png", "bee/91.png", "bee/92.png"]


def test_labels_from_a_table(train, tmp_path, capsys):
    root = tmp_path / "images"
    fill(root, ("a", "b"), 20)
    rows = [f"{name}/{i:03}.png,is {name}" for name in ("a", "b") for i in range(20)]
    (root / "labels.csv").write_text("\n".join(["file,label", *rows]))
    run = train(tmp_path / "run", *options(root, "data.source.labels=labels.csv"))
    assert "labels of labels.csv, undivided, 20 % held out" in capsys.readouterr().out
    assert run.load_classifier().classes == ("is a", "is b")


def test_balanced_training_resumes_to_the_same_weights(train, resume, tmp_path):
    root = tmp_path / "images"
    fill(root, ("bee",), 40)
    fill(root, CLASSES, 6)
    settings = options(root, "data.balanced=true", "scheduler=none")
    whole = weights(train(tmp_path / "whole", *settings, "trainer.max_epochs=2"))
    resumed = weights(resume(train(tmp_path / "run", *settings), "trainer.max_epochs=2"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    plain = options(root, "scheduler=none", "trainer.max_epochs=2")
    others = weights(train(tmp_path / "plain", *plain))
    assert not all(torch.equal(whole[name], others[name]) for name in whole)
