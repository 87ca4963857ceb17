"""Training on an image folder, held in memory or decoded on the fly."""

import shutil

import pytest
import torch
from PIL import Image

from vgg_lit.errors import InputError

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


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def options(folder, *more):
    return (
        "data=image_folder",
        f"data.root={folder}",
        "data.image_size=32",
        "data.train_size=null",
        "data.test_size=null",
        "data.batch_size=8",
        "data.val_fraction=0.2",
        "data.source.num_workers=0",
        *more,
    )


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
