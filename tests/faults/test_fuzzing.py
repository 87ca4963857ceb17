"""12,000 mutated images and 2,000 mutated small files are read or refused: no traceback, no hang."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzzing import mutations, outcome
from memory import forget_peak, peak
from test_bad_images import GOOD

from vgg_lit.checkpoints.weights import read_trained
from vgg_lit.data import Preprocessing
from vgg_lit.data.data_record import read_data_record
from vgg_lit.data.image_cache import cached_array, cached_sums
from vgg_lit.data.images import read_image
from vgg_lit.exporting.model import Description
from vgg_lit.exporting.programs import describe_network
from vgg_lit.reports.comparison import Comparison
from vgg_lit.runs import Run
from vgg_lit.sweeps import Sweep
from vgg_lit.system.small_files import read_yaml
from vgg_lit.training.loggers import build_loggers
from vgg_lit.tuning.studies import STORAGE_FILES, StudyDirectory
from vgg_lit.weights.untrusted import read_file

IMAGES, SMALL_FILES = 12_000, 2_000
MOST_GROWTH = 2**30
CACHED = np.ones((2, 1, 4, 4), np.uint8)


def assert_sound(found: Counter, count: int) -> None:
    print(dict(found))
    assert sum(found.values()) == count
    assert set(found) == {"read", "refused"}


def test_mutated_images_are_read_or_refused(tmp_path):
    forget_peak()
    before = peak()
    found: Counter = Counter()
    for number, (name, body) in enumerate(mutations(GOOD, IMAGES, seed=19)):
        file = tmp_path / name
        file.write_bytes(body)
        found[outcome(lambda file=file, n=number: read_image(file, 1 + 2 * (n % 2), 32))] += 1
    assert peak() - before < MOST_GROWTH
    assert_sound(found, IMAGES)


def studied(folder: Path, kind: str):
    """Returns a function that opens a study, which it creates if there is none, and reads its trials."""

    def read():
        directory = StudyDirectory(folder)
        with directory.lock():
            directory.create(kind, is_maximised=True)
        return directory.open({"_target_": "optuna.pruners.NopPruner"})

    return read


def readers(folder: Path) -> dict:
    """The readers of each file of a run, and of the files beside runs."""
    run = folder / "run"

    def resumed() -> None:
        Run(run).newest_checkpoint()

    return {
        "run/config.yaml": lambda: (
            Run(run).typed_config,
            Comparison([Run(run), Run(folder / "other")]),
        ),
        "run/status.json": lambda: Run(run).status,
        "run/metrics.json": lambda: Run(run).metrics,
        "run/metrics.csv": lambda: Run(run).epochs(),
        "run/environment.json": lambda: Run(run).environment,
        "run/overrides.txt": lambda: (
            Run(run).overrides.lines,
            Run(run).overrides.are_of_job(["a=1"]),
        ),
        "run/found.json": lambda: Run(run).typed_config,
        "run/data.json": lambda: read_data_record(run / "data.json"),
        "run/checkpoints/last.ckpt": lambda: read_trained(run / "checkpoints/last.ckpt"),
        "run/checkpoints/last.ckpt.sha256": resumed,
        "run/loggers.json": lambda: build_loggers({}, run),
        "sweep.json": lambda: Sweep(folder).jobs,
        **{f"{kind}/{file}": studied(folder / kind, kind) for kind, file in STORAGE_FILES.items()},
        "study.yaml": lambda: read_yaml(folder / "study.yaml"),
        "weights.pth": lambda: read_file(folder / "weights.pth"),
        "cache.json": lambda: cached_array(
            folder / "cache.npy", "x", CACHED.shape, lambda: [CACHED]
        ),
        "cache.sums.json": lambda: cached_sums(
            folder / "cache.npy", "x", lambda: torch.ones(2, 2).long().numpy()
        ),
        "model.json": lambda: Description.from_json(
            (folder / "model.json").read_bytes().decode("utf-8", "replace")
        ),
    }


@pytest.fixture
def originals(tiny_run, tmp_path):
    """The bodies of the files of `readers`, in a folder with a second run."""
    import shutil

    shutil.copytree(tiny_run.path, tmp_path / "run")
    shutil.copytree(tiny_run.path, tmp_path / "other")
    sweep = Sweep(tmp_path)
    for number in range(3):
        sweep.add([f"seed={number}"], str(number)).metrics = {"val/acc": 0.5}
    sweep.write()
    torch.save(
        {"state_dict": {"features.0.weight": torch.ones(2, 1, 3, 3)}}, tmp_path / "weights.pth"
    )
    cached_array(tmp_path / "cache.npy", "x", CACHED.shape, lambda: [CACHED])
    cached_sums(tmp_path / "cache.npy", "x", lambda: torch.ones(2, 2).long().numpy())
    description = describe_network(
        {"classes": ["a", "b"], "model": {"_target_": "vgg_lit.models.build"}},
        Preprocessing(1, 4, 4, (0.5,), (0.25,)),
        softmax=False,
    )
    written = {
        "model.json": description.to_json(),
        "study.yaml": "objective: val/acc\nspace: {seed: 1,2}\nsettings: {seed: 0}\n",
        "run/loggers.json": json.dumps({"wandb": {"_target_": "a.B", "id": "1"}}),
        "run/found.json": json.dumps({"optimizer.lr": {"typed": 0.1, "found": 0.2}}),
    }
    for name, text in written.items():
        (tmp_path / name).write_text(text)
    for kind, file in STORAGE_FILES.items():
        study = studied(tmp_path / kind, kind)
        study().enqueue_trial({"seed": 1})
        assert (tmp_path / kind / file).is_file()
    return {name: (tmp_path / name).read_bytes() for name in readers(tmp_path)}


def test_mutated_small_files_are_read_or_refused(originals, tmp_path):
    read = readers(tmp_path)
    forget_peak()
    before = peak()
    found: Counter = Counter()
    digest = tmp_path / "run/checkpoints/last.ckpt.sha256"
    kept = digest.read_bytes()
    for name, body in mutations(originals, SMALL_FILES, seed=20):
        if name == "run/checkpoints/last.ckpt":
            digest.unlink()  # otherwise it refuses every change
        (tmp_path / name).write_bytes(body)
        found[outcome(read[name])] += 1
        (tmp_path / name).write_bytes(originals[name])
        digest.write_bytes(kept)
    assert peak() - before < MOST_GROWTH
    assert_sound(found, SMALL_FILES)
