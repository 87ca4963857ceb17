"""Settings in words: types, ranges, defaults and values in the files of a group."""

import pytest

from vgg_lit.config.schema import Init, Train, Trainer
from vgg_lit.config.setting_rows import (
    allowed,
    setting_rows,
    shown,
    takes_list,
    values_by_option,
)


def test_a_row_has_key_range_default_and_description():
    rows = {row.key: row for row in setting_rows(Trainer, "trainer.")}
    row = rows["trainer.max_epochs"]
    assert (row.allowed, row.default) == ("integer >= 1", "18")
    assert row.description == "Number of epochs."
    assert "trainer._target_" not in rows


def test_a_section_without_a_group_is_listed_and_a_group_is_not():
    keys = [row.key for row in setting_rows(Train)]
    assert {f"init.{field.alias or name}" for name, field in Init.model_fields.items()} < set(keys)
    assert not {"model", "trainer", "init"} & set(keys)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer", "minimum": 1}, "integer >= 1"),
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 1}, "number >= 0 and < 1"),
        ({"type": "integer", "minimum": 0, "exclusiveMaximum": 2**32}, "integer >= 0 and < 2**32"),
        ({"anyOf": [{"type": "boolean"}, {"const": "warn"}]}, "true, false, warn"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text or null"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, "list of a, b"),
        ({"type": "array", "items": {}}, "list"),
        ({"type": "object"}, "mapping"),
    ],
)
def test_types_in_words(schema, text):
    assert allowed(schema) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ([1, "a"], "[1, a]"),
        ("???", "needed"),
        ("${data.in_channels}", "as data.in_channels"),
        (0.1, "0.1"),
    ],
)
def test_values_as_written_in_a_config(value, text):
    assert shown(value) == text


def test_values_in_the_files_of_a_group(tmp_path):
    (tmp_path / "a.yaml").write_text("lr: 0.1\nx: {y: 1}\nz: ${w}\n")
    (tmp_path / "b.yaml").write_text("defaults: [a]\nlr: 0.1\n")
    (tmp_path / "c.yaml").write_text("lr: 1.0\n")
    assert values_by_option(tmp_path) == {"lr": "0.1 (a, b), 1.0 (c)", "x.y": "1 (a)"}


@pytest.mark.parametrize(
    ("command", "key", "expected"),
    [
        ("train", "seed", False),
        ("train", "data.fold", False),
        ("train", "tags", True),
        ("train", "logger", True),
        ("train", "model", False),
        ("train", "optimizer.betas", True),
        ("train", "model.widths_of_my_network", True),
        ("evaluate", "run", True),
        ("predict", "run", False),
    ],
)
def test_settings_that_can_be_lists(command, key, expected):
    assert takes_list(command, key) is expected
