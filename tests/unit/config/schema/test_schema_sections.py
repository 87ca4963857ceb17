"""Sections refuse other keys and types; settings are required unless they are optional."""

import pytest
from pydantic import ValidationError

from vgg_lit.config.schema.sections import Limit, Place, Section, Target, argument, setting


class Example(Section):
    count: int = setting(3, "Count.", ge=1)
    folder: str | None = setting("here", "Folder.", optional=True)
    model: dict | None = setting("vgg", "Model.", optional=True, is_group=True)
    origin: str | None = setting(None, "Origin.", alias="from", shown="nowhere")
    limit: Limit = setting(1.0, "Limit.", optional=True)


class Built(Target):
    target: str = argument("Class.", alias="_target_")
    rate: float = argument("Rate.", gt=0)


KNOWN = {"count": 2, "from": None}


def test_an_optional_setting_has_its_default_and_a_missing_group_is_none():
    example = Example(**KNOWN)
    assert (example.folder, example.model, example.limit) == ("here", None, 1.0)


def test_the_documented_default_of_a_group_is_an_option():
    extra = {name: field.json_schema_extra for name, field in Example.model_fields.items()}
    assert extra["model"] == {"default": "vgg"}
    assert extra["count"] == {"default": 3}
    assert extra["origin"] == {"default": None, "shown": "nowhere"}


@pytest.mark.parametrize("missing", KNOWN)
def test_a_required_setting_may_not_be_missing(missing):
    with pytest.raises(ValidationError, match="Field required"):
        Example(**{key: value for key, value in KNOWN.items() if key != missing})


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0},
        {"count": "2"},
        {"count": 2.0},
        {"folder": 1},
        {"origin": "by its attribute"},
        {"other": 1},
        {"limit": 1.5},
        {"limit": -1},
    ],
    ids=str,
)
def test_other_keys_types_and_ranges_are_refused(wrong):
    with pytest.raises(ValidationError):
        Example(**KNOWN | wrong)


@pytest.mark.parametrize("limit", [0, 10, 0.0, 0.5, 1.0])
def test_a_limit_is_a_number_or_a_share_of_batches(limit):
    assert Example(**KNOWN, limit=limit).limit == limit


def test_a_target_accepts_other_arguments_and_checks_the_documented_ones():
    assert Built(_target_="a.B", rate=0.1, other=1).model_extra == {"other": 1}
    with pytest.raises(ValidationError, match="greater than 0"):
        Built(_target_="a.B", rate=0)


def test_a_place_is_that_of_the_run_unless_it_is_given():
    assert (Place().root, Place(root="data").root) == (None, "data")
