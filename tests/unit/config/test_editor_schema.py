"""The JSON Schema for editors accepts every file of conf/ and refuses mistakes."""

import json
import re

import pytest
import yaml
from jsonschema import Draft202012Validator
from omegaconf import OmegaConf

from vgg_lit.config.group_options import config_folder

CONF = config_folder()
SCHEMA = json.loads((CONF / "schema.json").read_text())
FILES = [
    file
    for file in sorted(CONF.rglob("*.yaml"))
    if file.relative_to(CONF).parts[0] not in ("hydra", "local")
]


def complaints(definition, content):
    """The messages of the schema about the content of a file."""
    schema = {"$ref": f"#/$defs/{definition}", "$defs": SCHEMA["$defs"]}
    return [error.message for error in Draft202012Validator(schema).iter_errors(content)]


def test_the_schema_is_valid():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(CONF).as_posix())
def test_every_file_names_its_schema_and_matches_it(file):
    package, *others = file.read_text().splitlines()
    # Hydra reads @package in the first line only.
    modeline = others[0] if package == "# @package _global_" else package
    (path, definition) = re.fullmatch(
        r"# yaml-language-server: \$schema=(\S+)#/\$defs/(\w+)", modeline
    ).groups()
    assert (file.parent / path).resolve() == (CONF / "schema.json").resolve()
    assert definition == (file.stem if file.parent == CONF else file.parent.name)
    assert complaints(definition, OmegaConf.to_container(OmegaConf.load(file))) == []


@pytest.mark.parametrize(
    ("definition", "text", "is_allowed"),
    [
        ("optimizer", "{lr: fast}", False),
        ("optimizer", "{lr: 0}", False),
        ("optimizer", "{lr: 0.1, an_argument: 1}", True),
        ("optimizer", "{lr: '${oc.env:LR}', weight_decay: '???'}", True),
        ("optimizer", "{layer_rates: {block1: slow}}", False),
        ("trainer", "{max_epoch: 3}", False),
        ("trainer", "{precision: bf17}", False),
        ("trainer", "{devices: '${launched:processes}', limit_val_batches: 0.5}", True),
        ("scheduler", "{milestones: [100, soon]}", False),
        ("model", "{head: linear2}", False),
        ("model", "{head: {hidden: [1024]}, variant: [[64], [[128, 5]]]}", True),
        ("data", "{source: {_target_: my.Source, num_workers: -1}}", False),
        ("callbacks", "{checkpointing: {every_n_epochs: 0}}", False),
        ("callbacks", "{progress: null, mine: {_target_: my.Callback}}", True),
        ("experiment", "{trainer: {precision: bf17}}", False),
        ("experiment", "{optimizer: {lr: fast}}", False),
        ("experiment", "{seeed: 1}", False),
        ("experiment", "{seed: 1, defaults: [{override /model: vgg16}]}", True),
        ("debug", "{label_smoothing: 1.0}", False),
        ("train", "{init: {from: null, layers: {fc1: fc2}}}", True),
        ("train", "{init: {origin: null}}", False),
        ("evaluate", "{split: train}", False),
        ("evaluate", "{run: [a, b], hydra: {job: {name: x}}}", True),
        ("tune", "{n_trials: 0}", False),
    ],
)
def test_mistakes_are_found(definition, text, is_allowed):
    assert (complaints(definition, yaml.safe_load(text)) == []) == is_allowed
