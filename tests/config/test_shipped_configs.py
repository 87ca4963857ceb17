"""Every file under conf/ composes, passes every check, and trains a tiny network."""

import importlib

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from vgg_lit.config.checks import ConfigError, check_section, check_train, to_plain
from vgg_lit.config.group_options import config_folder
from vgg_lit.config.schema import Trainer
from vgg_lit.data.sources import ResidentImages
from vgg_lit.errors import InputError
from vgg_lit.runs import Run
from vgg_lit.system.hardware import count_devices
from vgg_lit.targets import locate
from vgg_lit.training.experiment import run_experiment
from vgg_lit.tuning.space import SearchSpace
from vgg_lit.tuning.studies import build_pruner, build_sampler

CONF = config_folder()
VERBS = sorted(file.stem for file in CONF.glob("*.yaml"))
# (group, option) of every option file
OPTIONS = sorted(
    (file.parent.relative_to(CONF).as_posix(), file.stem)
    for file in CONF.glob("*/**/*.yaml")
    if not file.is_relative_to(CONF / "hydra")
)
OF_THE_SEARCH = ("space", "sampler", "pruner")
"""Groups that only `tune` has."""
OF_ONES_OWN = ("huggingface", "npz", "torchvision")
"""Options of `data` that name no data set: the user does."""
SMALL_DATA = ("data.train_size=64", "data.test_size=40", "data.batch_size=16")
SMALL = ("model.width=0.03125", *SMALL_DATA)
NAMED = {"timm": ("model.name=resnet18",)}
"""Options of `model` that name no network: the user does."""
SHORT = ("trainer.max_epochs=1", "trainer.precision=32-true")
# Packages of loggers that are not in the dev extra.
PACKAGES = {"wandb": "wandb", "mlflow": "mlflow", "comet": "comet_ml", "aim": "aim"}
FEW_STEPS = ("trainer.limit_train_batches=2",)
# Experiments that start from another run, and the overrides that train that run.
SHALLOWER = {
    "zhong_ii": ("experiment=zhong_i",),
    "zhong_iii": ("experiment=zhong_i", "model=plan_2"),
    "deep_from_shallow": ("experiment=paper_32", "data=fashion_mnist", "model=vgg11"),
}


def test_every_file_is_found():
    files = [file for file in CONF.rglob("*.yaml") if not file.is_relative_to(CONF / "hydra")]
    assert len(OPTIONS) + len(VERBS) == len(files)
    assert {group for group, _ in OPTIONS} >= {
        "model",
        "data",
        "augment",
        "optimizer",
        "scheduler",
        "loss",
        "trainer",
        "callbacks",
        "metrics",
        "logger",
        "experiment",
        "debug",
    }


@pytest.mark.parametrize("verb", VERBS)
def test_every_entry_config_has_a_verb_and_a_help_text(verb, compose):
    assert callable(importlib.import_module(f"vgg_lit.{verb}").main)
    assert (CONF / "hydra" / "help" / f"{verb}.yaml").is_file()
    assert compose(verb=verb)


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_file_is_a_mapping(group, option):
    """Only an option `none` may be empty, and it needs a comment."""
    text = (CONF / group / f"{option}.yaml").read_text()
    assert isinstance(yaml.safe_load(text), dict)
    if not yaml.safe_load(text):
        assert option == "none"
        assert text.startswith("# ")


@pytest.fixture
def published(monkeypatch):
    """`published(spec)`: replaces the images that a source would download by random ones."""

    def replace_source(spec):
        source = locate(spec["_target_"])
        side = 28 if source.in_channels == 1 else 32

        def load(self, split):
            draws = torch.Generator().manual_seed(int(split == "test"))
            count = 20 * len(self.classes)
            images = torch.randint(
                0, 256, (count, self.in_channels, side, side), generator=draws, dtype=torch.uint8
            )
            return ResidentImages(images, torch.arange(count) % len(self.classes))

        monkeypatch.setattr(source, "load", load)
        monkeypatch.setattr(source, "prepare", lambda self: None)

    return replace_source


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An image folder with forty images in each of two classes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("ant", "bee"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(40):
            picture = Image.new("RGB", (9, 9), (6 * i, 40 * (name == "ant"), 9))
            picture.save(tmp_path / "images" / name / f"{i}.png")
    return tmp_path / "images"


@pytest.fixture
def set_of_ones_own(tmp_path, monkeypatch):
    """`set_of_ones_own(option)`: the overrides that name a small data set of a library or a file."""
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))

    def make(option):
        if option == "torchvision":
            options = "{size:40,image_size:[3,9,9],num_classes:2}"
            return ["data.source.dataset=FakeData", f"data.source.options={options}"]
        if option == "npz":
            images = np.zeros((40, 28, 28), np.uint8)
            labels = np.arange(40)[:, None] % 2
            arrays = {f"{split}_images": images for split in ("train", "test")}
            arrays |= {f"{split}_labels": labels for split in ("train", "test")}
            np.savez(tmp_path / "set.npz", **arrays)
            return [f"data.root={tmp_path / 'set.npz'}"]
        datasets = pytest.importorskip("datasets", reason="needs the extra hf")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
        kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["ant", "bee"])}
        for split in ("train", "test"):
            pictures = [Image.new("RGB", (9, 9), (6 * i, 9, 9)) for i in range(40)]
            rows = {"image": pictures, "label": [i % 2 for i in range(40)]}
            features = datasets.Features(kinds)
            file = tmp_path / "parquet" / f"{split}-00000-of-00001.parquet"
            file.parent.mkdir(exist_ok=True)
            datasets.Dataset.from_dict(rows, features=features).to_parquet(file)
        return [f"data.source.path={tmp_path / 'parquet'}"]

    return make


def overrides_of(group, option, folder):
    """The overrides that try an option out quickly."""
    name = f"{group}=[default,{option}]" if group == "callbacks" else f"{group}={option}"
    name = "callbacks=[default]" if name == "callbacks=[default,default]" else name
    if option == "image_folder" or (group == "experiment" and is_on_a_folder(option)):
        return [name, *SMALL, f"data.root={folder}", "data.train_size=32", "data.test_size=16"]
    if group == "model" and not is_vgg(option):
        return [name, *NAMED.get(option, ()), *SMALL_DATA]
    return [name, *SMALL]


def is_on_a_folder(experiment):
    """Returns True if an experiment, or one that it extends, trains on an image folder."""
    entries = yaml.safe_load((CONF / "experiment" / f"{experiment}.yaml").read_text())["defaults"]
    return any(
        entry["override /data"] == "image_folder"
        if isinstance(entry, dict)
        else is_on_a_folder(entry)
        for entry in entries
        if not isinstance(entry, dict) or "override /data" in entry
    )


def is_vgg(model):
    """Returns True if an option of `model` is a VGG, not a network to compare with."""
    chain = yaml.safe_load((CONF / "model" / f"{model}.yaml").read_text())
    return model == "vgg" or any(
        is_vgg(base) for base in chain.get("defaults", []) if base != "_self_"
    )


def is_abstract(group, option):
    """Returns True if the file is only a base for other files of its group."""
    others = [file for file in (CONF / group).glob("*.yaml") if file.stem != option]
    extended = [yaml.safe_load(file.read_text()).get("defaults", []) for file in others]
    return "???" in (CONF / group / f"{option}.yaml").read_text() and [option] in extended


@pytest.mark.parametrize(
    ("group", "option"),
    [
        # trained at full width
        pytest.param(*pair, marks=pytest.mark.slow) if pair == ("model", "resnet50") else pair
        for pair in OPTIONS
        if pair[0] not in OF_THE_SEARCH
    ],
)
def test_option_composes_and_trains(
    group, option, compose, folder, published, set_of_ones_own, tmp_path, monkeypatch
):
    overrides = overrides_of(group, option, folder)
    if group == "data" and option in OF_ONES_OWN:
        overrides += [*set_of_ones_own(option), "data.train_size=32", "data.test_size=16"]
    if (group, option) == ("model", "timm"):
        pytest.importorskip("timm")
    if group == "logger" and option in PACKAGES:
        pytest.importorskip(PACKAGES[option])
    monkeypatch.chdir(tmp_path)  # for the databases of loggers
    if option in SHALLOWER:
        shallower = to_plain(compose(*SHALLOWER[option], *SMALL, *SHORT, "trainer.accelerator=cpu"))
        published(shallower["data"]["source"])
        run_experiment(shallower, tmp_path / "shallower", [])
        overrides.append(f"init.from={tmp_path / 'shallower'}")
    if option == "distillation":
        teacher = to_plain(compose(*SMALL, *SHORT, *FEW_STEPS, "trainer.accelerator=cpu"))
        run_experiment(teacher, tmp_path / "teacher", [])
        overrides.append(f"loss.teacher={tmp_path / 'teacher'}")
    short = [*SHORT, *(() if group in ("experiment", "debug") else FEW_STEPS)]
    config = compose(*overrides, *short)
    if is_abstract(group, option):
        with pytest.raises(ConfigError, match=r"is needed; set it with \w+\.\w+="):
            to_plain(config)
        return
    plain = to_plain(config)
    if group == "trainer":
        check_section(plain["trainer"], Trainer, "trainer")
        try:
            count_devices(plain["trainer"]["accelerator"])
        except InputError:
            with pytest.raises(InputError, match="torch finds no device"):
                check_train(plain)
            pytest.skip("composed and checked, not trained: this machine does not have the device")
    else:
        plain["trainer"]["accelerator"] = "cpu"
    check_train(plain)
    if plain["trainer"]["devices"] not in (1, "auto"):
        pytest.skip("composed and checked, not trained: test_verbs.py trains in two processes")
    if "download" in plain["data"]["source"] and option not in OF_ONES_OWN:
        published(plain["data"]["source"])
    metrics = run_experiment(plain, tmp_path / "run", overrides)
    run = Run(tmp_path / "run")
    assert run.status["status"] == "done"
    assert metrics["train/loss"] > 0
    if plain["test"]:
        assert 0 <= metrics["test/acc"] <= 1
    if not plain["trainer"]["fast_dev_run"]:
        assert run.metrics_file.is_file()
        assert run.checkpoint("last").is_file()
        assert run.load_classifier().classes


@pytest.mark.parametrize(
    ("group", "option"), [pair for pair in OPTIONS if pair[0] in OF_THE_SEARCH]
)
def test_search_option_composes_and_builds(group, option, compose):
    """Both ends of every range pass the checks; Optuna accepts the sampler and pruner arguments."""
    pytest.importorskip("optuna", reason="needs the extra tune")
    plain = to_plain(compose(f"{group}={option}", verb="tune"))
    if group == "pruner":
        assert build_pruner(plain["pruner"])
    elif group == "sampler":
        grid = {"seed": [0, 1]} if option == "grid" else None
        assert build_sampler(plain["sampler"], 0, grid)
    elif option != "none":
        space = SearchSpace(plain["space"])
        space.check(lambda overrides: check_train(to_plain(compose(*overrides))))


@pytest.mark.parametrize(
    "option",
    [
        option
        for group, option in OPTIONS
        if group == "model" and option not in NAMED and not is_abstract(group, option)
    ],
)
def test_network_config_matches_its_file_name(option, compose):
    """Checks the config only; no network is built."""
    plain = to_plain(compose(f"model={option}"))
    check_train(plain)
    if not is_vgg(option):
        assert plain["model"]["_target_"] == f"vgg_lit.models.{option}"
        return
    variant = plain["model"]["variant"]
    if isinstance(variant, str):
        assert option.removesuffix("_slim") == variant
    assert (plain["model"]["width"] < 1) == option.endswith("_slim")
    assert plain["model"]["width"] <= 1


DOWNLOADED = [
    option
    for group, option in OPTIONS
    if group == "data"
    and option not in OF_ONES_OWN
    and "download:" in (CONF / "data" / f"{option}.yaml").read_text()
]


@pytest.mark.parametrize("option", DOWNLOADED)
def test_missing_data_are_reported_with_their_path_and_an_alternative(option, compose, tmp_path):
    config = compose(
        f"data={option}", f"data_root={tmp_path / 'here'}", "data.source.download=false", *SMALL
    )
    plain = to_plain(config)
    check_train(plain)
    with pytest.raises(ValueError, match="fashion_mnist_sample") as refused:
        run_experiment(plain, tmp_path / "run", [])
    assert str(tmp_path / "here") in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("huggingface", "data.source.path"),
        ("npz", "data.root"),
        ("torchvision", "data.source.dataset"),
    ],
)
def test_a_data_set_of_a_library_needs_its_name(option, key, compose):
    with pytest.raises(ConfigError, match=rf"{key}: is needed; set it with {key}="):
        to_plain(compose(f"data={option}"))


def test_a_network_of_timm_needs_its_name(compose):
    with pytest.raises(ConfigError, match=r"model\.name: is needed; set it with model\.name="):
        to_plain(compose("model=timm"))


def test_image_folder_needs_a_root(compose):
    with pytest.raises(ConfigError, match=r"data\.root: is needed; set it with data\.root="):
        to_plain(compose("data=image_folder"))
