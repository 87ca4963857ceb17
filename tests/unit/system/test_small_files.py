"""Small files are read with limits on their size, their values and their depth."""

import os

import pytest
from omegaconf import OmegaConf
from operating_systems import posix

from vgg_lit.errors import InputError
from vgg_lit.system.small_files import (
    MOST_VALUES,
    check_nesting,
    parse_json,
    read_json,
    read_small,
    read_small_text,
    read_yaml,
)

ALIASES = "a: &a [1,2,3,4,5,6,7,8,9]\n" + "".join(
    f"{after}: &{after} [{','.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Nine levels of nine references, in 396 bytes."""


def test_a_missing_file_is_empty(tmp_path):
    assert read_small(tmp_path / "none") is None
    assert read_small_text(tmp_path / "none") is None
    assert read_json(tmp_path / "none") == {}


@pytest.mark.parametrize("make", [os.mkdir, pytest.param(getattr(os, "mkfifo", None), marks=posix)])
def test_what_is_not_a_file_is_refused_without_waiting(make, tmp_path):
    make(tmp_path / "name")
    with pytest.raises(InputError, match="name: is not a file"):
        read_json(tmp_path / "name")


def test_a_large_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(bytes(2**22 + 1))
    with pytest.raises(InputError, match="file: is larger than 4 MiB"):
        read_json(tmp_path / "file")
    assert read_small(tmp_path / "file", 2**23) == bytes(2**22 + 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "EOF"),
        ("\0" * 100, "expected value"),
        ("{", "EOF"),
        ("[1]", "should be an object"),
        ('{"a": "x"}', "a.*valid"),
        ('{"a": true}', "a.*valid"),
        ('{"a": ' + "[" * 100_000, "valid"),
        ('{"a": 1' + "0" * 30 + "}", "64 bits"),
        ('{"a": "\xff"}', "valid"),
    ],
)
def test_json_of_another_type_is_one_line(text, reason, tmp_path):
    file = tmp_path / "metrics.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=rf"metrics\.json: cannot be read: .*{reason}") as error:
        read_json(file, dict[str, int | float])
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def test_json_numbers_keep_their_types():
    found = parse_json('{"a": 1, "b": 1.5, "c": NaN}', dict[str, int | float])
    assert repr(found) == "{'a': 1, 'b': 1.5, 'c': nan}"


def test_names_that_are_not_utf_8_are_read():
    assert parse_json('{"a": "caf\\udce9", "b": "\\ud83d\\ude00"}') == {
        "a": "caf?",
        "b": "\U0001f600",
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ALIASES, "more than 100,000 values"),
        ("a: " + "[" * 100_000, "nest"),  # PyYAML 6.0.4 has a limit too
        ("a: [" + "0," * (MOST_VALUES + 1) + "]", "more than 100,000 values"),
        ("a: &a [*a]", r"the alias \*a is inside of its anchor"),
        ("a: {<<: *b}", r"the alias \*b"),
        ("a: 1\nb: 2\na: 3", "the key a is given twice"),
        ("a: !!python/object/apply:os.system [x]", "could not determine a constructor"),
        ("a: !!binary aGk=", "bytes: not a plain value"),
        ("a: 1" + "0" * 30, "64 bits"),
        ("a: [1", "while parsing"),
        ("a: !!bool x", "a value is not of the type of its tag"),
        ("a: !!int ''", "a value is not of the type of its tag"),
        ("a: !!timestamp x", "a value is not of the type of its tag"),
        ("a: !!map [x]", "a value is not of the type of its tag"),
        ("a: !!float 1" + ":1" * 400, "a value is not of the type of its tag"),
        ("\0" * 100, "not allowed"),
    ],
)
def test_yaml_that_cannot_be_used_is_one_line(text, reason, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=rf"config\.yaml: is not valid YAML: .*{reason}") as error:
        read_yaml(file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "- 1\n- 2\n", "3"])
def test_yaml_without_settings_is_one_line(text, tmp_path):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match="is not a mapping of settings"):
        read_yaml(tmp_path / "config.yaml")


def test_yaml_is_read_as_omegaconf_reads_it(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(
        "a: 1e-3\nb: 1e5\nc: .5\nd: 3\ne: 2020-01-01\nf: -.inf\ng: 1.5e-05\nh: '1'\ni: 08\nj: true\n"
        "k: null\nl: [1, 2.0, x, -1, +2, 1_000, 0x1F, 1.]\nm: {n: '', o: 1:30}\np: &p {q: 1}\nr: {<<: *p}\n"
    )
    assert read_yaml(file) == OmegaConf.to_container(OmegaConf.load(file))


def test_shared_values_count_at_each_place():
    bomb = [1] * 9
    for _ in range(8):
        bomb = [bomb] * 9
    with pytest.raises(ValueError, match="more than 100,000 values"):
        check_nesting({"a": bomb})
    check_nesting({"a": [[1] * 100] * 100})


def test_depth_is_measured_through_shared_values():
    chain: list = []
    links = []
    for _ in range(60):
        chain = [chain]
        links.append(chain)
    with pytest.raises(ValueError, match="nested more than 50 levels"):
        check_nesting(links)  # each link alone is one level above the one before
    circle: list = []
    circle.append(circle)
    with pytest.raises(ValueError, match="nested more than 50 levels"):
        check_nesting(circle)


def test_json_of_too_many_values_is_refused_before_its_types_are_checked():
    with pytest.raises(ValueError, match="more than 100,000 values"):
        parse_json("[" + "0," * MOST_VALUES + "0]", list[dict[str, int]])


def test_thousands_of_values_of_another_type_are_counted_not_described():
    with pytest.raises(ValueError, match="50,000 values are of another type"):
        parse_json("[" + "0," * 49_999 + "0]", list[dict[str, int]])


def test_a_larger_file_may_have_more_values(tmp_path):
    (tmp_path / "file").write_text("[" + "0," * MOST_VALUES + "0]")
    assert len(read_json(tmp_path / "file", list[int])) == MOST_VALUES + 1
    (tmp_path / "file").write_text("[" + "0," * 300_000 + "0]")
    with pytest.raises(InputError, match="file: cannot be read: it holds more than 262,144 values"):
        read_json(tmp_path / "file", list[int])
    assert len(read_json(tmp_path / "file", list[int], 2**23)) == 300_001
