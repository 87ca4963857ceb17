"""The generated documents are those in the repository, and describe every setting."""

import inspect
import re
from typing import get_args

import pydantic
import pytest
from omegaconf import OmegaConf
from packaging.version import Version
from pydantic import BaseModel

from vgg_lit.config.documents import documents, main
from vgg_lit.config.group_options import config_folder, groups_of
from vgg_lit.config.schema import (
    COMMANDS,
    GROUPS,
    SUBSECTIONS,
    ProcessLauncherSettings,
    optimization,
)
from vgg_lit.config.schema import groups as argument_sections
from vgg_lit.models import HEADS
from vgg_lit.models.initialisation import INITS
from vgg_lit.targets import locate

CONF = config_folder()
SCHEDULES = ("one_cycle", "cosine", "linear", "polynomial", "cosine_restarts", "step", "multistep")
SCHEDULES += ("plateau", "constant")
GENERATED = dict(documents(CONF))


def nested_sections(section):
    """Yields a section and the sections that its fields hold."""
    yield section
    for field in section.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            # list[int] is a class for Python 3.10
            if inspect.isclass(kind) and not get_args(kind) and issubclass(kind, BaseModel):
                yield from nested_sections(kind)


# A dict, not a set: the order of the tests is the same in each process.
SECTIONS = list(
    dict.fromkeys(
        section
        for root in (
            *COMMANDS.values(),
            *GROUPS.values(),
            *SUBSECTIONS.values(),
            ProcessLauncherSettings,
        )
        for section in nested_sections(root)
    )
)


def defaults(section):
    """The defaults of a section by key; leaves out arguments whose default is in the files."""
    return {
        field.alias or name: field.json_schema_extra["default"]
        for name, field in section.model_fields.items()
        if field.json_schema_extra
    }


def content(file):
    """The content of a config, without interpolations resolved."""
    return OmegaConf.to_container(OmegaConf.load(CONF / f"{file}.yaml"))


written_by_new_pydantic = pytest.mark.skipif(
    Version(pydantic.VERSION) < Version("2.11"),
    reason="older versions of pydantic write conf/schema.json in other words",
)


@written_by_new_pydantic
@pytest.mark.parametrize(
    "file", GENERATED, ids=lambda file: file.relative_to(CONF.parent).as_posix()
)
def test_the_generated_files_are_up_to_date(file):
    """Otherwise run python -m vgg_lit.config.documents."""
    assert file.read_text(encoding="utf-8") == GENERATED[file]


@written_by_new_pydantic
def test_the_command_changes_nothing(capsys):
    main()
    assert capsys.readouterr().out == ""


def test_the_command_writes_a_changed_file(tmp_path, monkeypatch, capsys):
    for file in GENERATED:
        copy = tmp_path / file.relative_to(CONF.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text())
    for file in CONF.rglob("*.yaml"):
        copy = tmp_path / file.relative_to(CONF.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text())
    (tmp_path / "conf/optimizer/my_own.yaml").write_text("# My optimiser.\nlr: 0.5\n")
    monkeypatch.setattr("vgg_lit.config.documents.config_folder", lambda: tmp_path / "conf")
    main()
    assert "docs/reference.md" in capsys.readouterr().out
    reference = (tmp_path / "docs/reference.md").read_text()
    assert "| `my_own` | My optimiser. |" in reference
    assert (
        "0.001 (adam, adamw, rmsprop), 0.24 (muon, muon_adamw), 0.5 (my_own), 0.002 (nadam), 0.1 (sgd)"
        in reference
    )


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_setting_has_a_one_sentence_description(section):
    for name, field in section.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        assert not re.search(r"[.!?] [A-Z]", field.description), name


@pytest.mark.parametrize("command", COMMANDS)
def test_defaults_of_commands_are_those_of_conf(command, compose):
    config = OmegaConf.to_container(compose(verb=command))
    groups = groups_of(command, CONF)
    known = defaults(COMMANDS[command])
    assert len(known) == len(COMMANDS[command].model_fields)
    for key, default in known.items():
        if key in groups:
            assert groups[key] == (default[0] if isinstance(default, list) else default), key
        elif key in SUBSECTIONS:
            assert config[key] == defaults(SUBSECTIONS[key])
        else:
            assert config[key] == default, key


@pytest.mark.parametrize(
    ("file", "section"),
    [
        ("data/base", GROUPS["data"]),
        ("trainer/default", GROUPS["trainer"]),
        ("model/vgg", GROUPS["model"]),
        ("hydra/launcher/process", ProcessLauncherSettings),
    ],
)
def test_defaults_of_a_section_are_those_of_its_file(file, section):
    values = content(file)
    for key, default in defaults(section).items():
        if key in values or section.model_fields.get(key) is None:
            assert values[key] == default, key
        else:
            assert not section.model_fields[key].is_required(), key
    assert set(values) - {"_target_"} <= set(defaults(section))


@pytest.mark.parametrize("group", ["augment", "callbacks", "logger"])
def test_defaults_of_nested_sections_are_those_of_the_files(group):
    given_in: dict[type, list[dict]] = {}
    for file in (CONF / group).glob("*.yaml"):
        for name, values in content(f"{group}/{file.stem}").items():
            field = GROUPS[group].model_fields.get(name)
            for section in (
                nested_sections(GROUPS[group]) if field and isinstance(values, dict) else ()
            ):
                if section in get_args(field.annotation):
                    given = {key: value for key, value in values.items() if key != "_target_"}
                    assert set(given) <= {f.alias or key for key, f in section.model_fields.items()}
                    given_in.setdefault(section, []).append(given)
    for section, files in given_in.items():  # a recipe may have other values than the defaults
        expected = defaults(section)
        assert any(
            all(expected.get(key, value) == value for key, value in given.items())
            for given in files
        ), section
    assert set(given_in) == set(nested_sections(GROUPS[group])) - {GROUPS[group]}


@pytest.mark.parametrize(
    ("section", "targets"),
    [
        ("ModelGroup", ["vgg_lit.models.build"]),
        ("AverageSettings", ["vgg_lit.callbacks.MovingAverage"]),
        ("CheckpointingSettings", ["vgg_lit.callbacks.Checkpointing"]),
        ("ColourSettings", ["vgg_lit.data.ColourShift"]),
        ("CutoutSettings", ["vgg_lit.data.Cutout"]),
        ("EpochAverageSettings", ["vgg_lit.callbacks.EpochAverage"]),
        ("JitterSettings", ["vgg_lit.data.ScaleJitter"]),
        ("LayerTimesSettings", ["vgg_lit.callbacks.LayerTimes"]),
        ("MixingSettings", ["vgg_lit.data.MixUp", "vgg_lit.data.CutMix"]),
        ("PolicySettings", ["vgg_lit.data.AutoAugment"]),
        ("TensorBoardSettings", ["vgg_lit.callbacks.TensorBoard"]),
        (
            "SchedulerGroup",
            [f"vgg_lit.optim.{name}" for name in SCHEDULES],
        ),
    ],
)
def test_documented_arguments_are_those_of_the_targets(section, targets):
    fields = {**vars(argument_sections), **vars(optimization)}[section].model_fields
    arguments = {
        name for target in targets for name in inspect.signature(locate(target)).parameters
    }
    from_the_run = {"optimizer", "steps"} if section == "SchedulerGroup" else set()
    assert set(fields) - {"target"} == arguments - from_the_run


def test_choices_of_the_network_are_those_of_the_code():
    assert get_args(argument_sections.Head) == tuple(HEADS)
    assert get_args(argument_sections.FirstWeights) == tuple(INITS)


def test_the_help_fits_80_columns_and_lists_every_setting():
    for command, section in COMMANDS.items():
        help_text = content(f"hydra/help/{command}")
        lines = "\n".join(help_text[part] for part in ("header", "template", "footer")).splitlines()
        assert max(map(len, lines)) <= 80, command
        shown = {line.split()[0] for line in lines if re.match(r"  \S", line)}
        for key in defaults(section):
            is_shown = key in shown or f"{key}:" in shown or key in SUBSECTIONS
            is_shown |= any(one.startswith(f"{key}.") for one in shown)
            assert is_shown, f"{command}: {key}"
