"""The place of a data set on this machine: typed, recorded, or below data_root."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from vgg_lit.config.locations import (
    Places,
    asked_places,
    is_same_place,
    located,
    new_config,
    place_of,
    with_absolute_places,
)
from vgg_lit.errors import InputError


def run_config(root, data_root=None, **data):
    """The config of a run on a folder of images."""
    group = {"root": str(root), "source": {"_target_": "x", "root": str(root)}, **data}
    return {"data": group, "data_root": None if data_root is None else str(data_root)}


def asked(*typed, root=None, data_root=None):
    given = {"root": root, "data_root": data_root}
    return Places(*(None if p is None else str(p) for p in given.values()), frozenset(typed))


@pytest.fixture
def places(tmp_path):
    """Two folders of data sets, both with the set `pets/small`."""
    for name in ("here", "there"):
        (tmp_path / name / "pets" / "small").mkdir(parents=True)
    return tmp_path


def place(config):
    data = config["data"]
    assert data["root"] == data["source"]["root"]
    return data["root"]


def test_the_recorded_place_is_used_if_it_exists(places):
    config = run_config(places / "here/pets", places / "here")
    assert located(config, asked()) == config
    defaults = asked(root=places / "there/pets", data_root=places / "there")
    assert located(config, defaults) == config


def test_a_typed_place_comes_first(places):
    config = run_config(places / "here/pets", places / "here")
    typed = asked("data.root", "data_root", root=places / "there/pets", data_root=places / "there")
    assert place(located(config, typed)) == str(places / "there/pets")
    assert config["data"]["root"] == str(places / "here/pets")  # unchanged


def test_the_same_path_below_a_typed_folder(places):
    config = run_config(places / "gone/pets/small", places / "gone")
    found = located(config, asked("data_root", data_root=places / "there"))
    assert place(found) == str(places / "there/pets/small")
    assert found["data_root"] == str(places / "there")


def test_the_folder_of_data_sets_itself_may_be_the_place(places):
    config = run_config(places / "gone", places / "gone")
    assert place(located(config, asked("data_root", data_root=places / "there"))) == str(
        places / "there"
    )


@pytest.mark.parametrize("before", [None, "/elsewhere"])
def test_a_place_outside_of_the_folder_is_found_by_its_name(before, places):
    config = run_config(places / "gone/somewhere/pets", before)
    assert place(located(config, asked("data_root", data_root=places / "there"))) == str(
        places / "there/pets"
    )


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_typed_folder_without_the_data_set_is_refused(ending, places):
    config = run_config(f"{places}/gone/birds{ending}")
    with pytest.raises(InputError, match=r"^data_root=.*: has no birds; to name the data set"):
        located(config, asked("data_root", data_root=places / "there"))


def test_defaults_of_this_machine_replace_a_place_that_is_gone(places):
    config = run_config(places / "gone/pets", places / "gone")
    assert place(located(config, asked(root=places / "there/pets"))) == str(places / "there/pets")
    assert place(located(config, asked(data_root=places / "there"))) == str(places / "there/pets")
    nothing = asked(root=places / "no", data_root=places / "no")
    assert located(config, nothing) == config  # reported when it is read


def test_a_place_for_data_without_a_folder_is_refused():
    config = {"data": {"source": {"_target_": "x"}}}
    with pytest.raises(InputError, match=r"^data\.root=/x: the data set of the run has no folder"):
        located(config, asked("data.root", root="/x"))
    assert located(config, asked("data_root", data_root="/x")) == config


def test_a_path_of_a_library_is_a_place_only_if_it_is_one(tmp_path):
    assert place_of({"source": {"path": "cifar10"}}) is None
    assert place_of({"source": {"path": str(tmp_path)}}) == str(tmp_path)
    assert place_of({"source": {"path": "/nowhere"}}) == "/nowhere"
    moved = located({"data": {"source": {"path": "/nowhere"}}}, asked("data.root", root=tmp_path))
    assert moved["data"] == {"source": {"path": str(tmp_path)}}


@pytest.mark.parametrize("data", [{}, {"root": None}, {"source": None}, {"source": {"root": 3}}])
def test_other_values_are_no_place(data):
    assert place_of(data) is None


def test_places_of_a_new_run_are_absolute(tmp_path, monkeypatch, set_home):
    monkeypatch.chdir(tmp_path)
    set_home(tmp_path / "home")
    found = with_absolute_places(run_config("pets/../pets", "~/data"))
    assert place(found) == str(tmp_path / "pets")
    assert found["data_root"] == str(tmp_path / "home/data")
    assert with_absolute_places({"seed": 1}) == {"seed": 1}


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["a", "b", "..", "."]), min_size=1, max_size=4).map("/".join))
def test_absolute_places_stay_as_they_are(path):
    once = with_absolute_places(run_config(path, path))
    assert with_absolute_places(once) == once


def test_places_are_the_same_through_links(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    first, second = {"root": str(tmp_path)}, {"root": str(tmp_path / "link")}
    assert is_same_place(first, second)
    assert is_same_place(first, {"root": os.path.relpath(tmp_path)})
    assert not is_same_place(first, {"root": str(tmp_path / "other")})
    assert not is_same_place(first, {})
    assert is_same_place({}, {"source": {}})


@pytest.mark.parametrize("overrides", [["data.root=/x"], ["+data.root=/x"], ["++data.root=/x"]])
def test_typed_places_are_told_from_defaults(overrides):
    config = OmegaConf.create({"data": {"root": "/x"}, "data_root": "/y"})
    assert asked_places(config, overrides) == Places("/x", "/y", frozenset({"data.root"}))


@pytest.mark.parametrize("data", [None, {"root": "???"}, {}])
def test_a_command_without_a_place_asks_for_none(data):
    config = OmegaConf.create({"data": data, "data_root": None})
    assert asked_places(config, []) == Places(None, None, frozenset())


def test_a_text_that_is_not_utf_8_is_refused():
    config = OmegaConf.create(run_config("/data/caf\udce9"))
    with pytest.raises(
        InputError, match=r"data\.root=.*caf\\xe9.*: is not UTF-8; give a path in UTF-8"
    ):
        new_config(config)


def test_places_stay_relative_in_a_folder_that_is_not_utf_8(tmp_path, monkeypatch):
    try:
        (tmp_path / "caf\udce9").mkdir()
    except (OSError, UnicodeError):
        pytest.skip("this file system has names in UTF-8 alone")
    monkeypatch.chdir(tmp_path / "caf\udce9")
    config = OmegaConf.create(run_config("images", "data"))
    placed = new_config(config)
    assert (placed["data_root"], placed["data"]["root"]) == ("data", "images")
