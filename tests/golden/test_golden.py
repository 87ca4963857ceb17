"""Checkpoints of released versions continue to load, and their networks give the same logits.

A release with a new schema adds a checkpoint, trained with `SETTINGS`, and its logits:

    PYTHONPATH=. python tests/golden/test_golden.py tests/golden/schema<N>.ckpt
"""

import json
import sys
from pathlib import Path

import pytest
import torch

from vgg_lit.checkpoints.storage import SCHEMA, read_checkpoint
from vgg_lit.classifier import Classifier

FOLDER = Path(__file__).parent
SETTINGS = (
    "model=vgg",
    "model.variant=[[4],[4,8],[8,[8,1]]]",
    "model.batch_norm=true",
    "model.width=1",
    "model.head={hidden: [8], dropout: 0.5}",
    "data.train_size=32",
    "data.test_size=40",
    "data.batch_size=16",
    "data.val_fraction=0.01",
    "scheduler=cosine",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
    "logger=none",
)

files = pytest.mark.parametrize("file", sorted(FOLDER.glob("*.ckpt")), ids=lambda file: file.stem)


def answer(classifier: Classifier) -> list[list[float]]:
    """Logits of two images that need no random numbers."""
    pixels = torch.arange(2 * 32 * 32, dtype=torch.float32).mul(0.7).sin()
    with torch.inference_mode():
        return classifier(pixels.view(2, 1, 32, 32)).tolist()


def test_every_schema_has_a_checkpoint():
    assert {file.stem for file in FOLDER.glob("*.ckpt")} == {
        f"schema{n}" for n in range(1, SCHEMA + 1)
    }


@files
def test_the_network_gives_the_stored_logits(file):
    assert read_checkpoint(file)["vgg_lit"]["schema"] == int(file.stem.removeprefix("schema"))
    classifier = Classifier.load_from_checkpoint(file)
    expected = json.loads(file.with_suffix(".json").read_text())
    assert list(classifier.classes) == expected["classes"]
    assert classifier.preprocessing == expected["preprocessing"]
    torch.testing.assert_close(torch.tensor(answer(classifier)), torch.tensor(expected["logits"]))


@files
def test_training_resumes(file, train, tmp_path):
    """Includes the optimiser, the schedule and the position in the data order."""
    run = train(tmp_path / "run", *SETTINGS, f"ckpt_path={file}", "trainer.max_epochs=2")
    checkpoint = torch.load(run.checkpoint("last"), weights_only=True)
    assert (checkpoint["epoch"], checkpoint["global_step"]) == (1, 4)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    golden = Classifier.load_from_checkpoint(path)
    expected = {
        "classes": list(golden.classes),
        "preprocessing": golden.preprocessing,
        "logits": answer(golden),
    }
    path.with_suffix(".json").write_text(json.dumps(expected, indent=2) + "\n")
