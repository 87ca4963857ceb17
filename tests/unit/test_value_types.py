"""Preprocessing that a checkpoint of an untrusted source holds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgg_lit.errors import InputError
from vgg_lit.value_types import MAX_SIDE, as_written, check_preprocessing

SOUND = {
    "in_channels": 2,
    "mean": (0.5, 0.4),
    "std": (0.1, 0.2),
    "source_size": 28,
    "image_size": MAX_SIDE,
}


@pytest.mark.parametrize(
    "values", [{}, {"is_known": False}, {"fit": "pad"}, {"is_known": True, "fit": "stretch"}]
)
def test_sound_values_pass_also_those_of_earlier_versions(values):
    check_preprocessing({**SOUND, **values})
    check_preprocessing({**SOUND, "mean": [0, 255]})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("in_channels", value) for value in (1, 3, 2.0, "2", None)),
        *(
            ("mean", value)
            for value in ((0.5,), (0.5, float("nan")), (0.5, 10**400), "ab", None, 0.5)
        ),
        *(("std", value) for value in ((0.1, 0), (0.1, -1), (0.1, float("inf")), (0.1, None))),
        *(("source_size", value) for value in (0, -1, MAX_SIDE + 1, 28.0, "28", None, True)),
        ("image_size", float("nan")),
        *(("fit", value) for value in ("cover", None, [], 1)),
        *(("is_known", value) for value in (1, None, "yes")),
        ("another", 1),
    ],
)
def test_an_unsound_value_is_one_line(key, value):
    with pytest.raises(InputError, match=r"^preprocessing=.*: invalid; allowed: sides of 1 to"):
        check_preprocessing({**SOUND, key: value})


@pytest.mark.parametrize("key", SOUND)
def test_a_missing_value_is_one_line(key):
    with pytest.raises(InputError, match="invalid"):
        check_preprocessing({name: value for name, value in SOUND.items() if name != key})


def test_images_without_channels_are_refused():
    with pytest.raises(InputError, match="invalid"):
        check_preprocessing({**SOUND, "in_channels": 0, "mean": (), "std": ()})


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values),
    max_leaves=5,
)


@settings(max_examples=50, deadline=None)
@given(ANYTHING | st.dictionaries(st.sampled_from([*SOUND, "fit", "is_known"]), ANYTHING))
def test_any_other_value_is_refused_too(values):
    with pytest.raises(InputError):
        check_preprocessing(values)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), (0.5, "0.5"), ([1, [None, False]], "[1, [null, false]]")],
)
def test_values_are_written_as_in_a_config(value, text):
    assert as_written(value) == text
