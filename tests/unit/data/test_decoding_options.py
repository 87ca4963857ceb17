"""The settings of folders and of library data sets."""

import pytest

from vgg_lit.data import decoding_options
from vgg_lit.data.decoding_options import check_fit_name, checked_workers
from vgg_lit.errors import InputError

SOUND = {
    "in_channels": 3,
    "size": 1,
    "num_workers": None,
    "test_fraction": 0.2,
    "fit": "crop",
}


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (8, 8), (64, 8)])
def test_the_available_cores_decode_at_most_eight_of_them(cores, workers, monkeypatch):
    monkeypatch.setattr(decoding_options, "count_cores", lambda: cores)
    assert checked_workers(**SOUND) == workers
    assert checked_workers(**{**SOUND, "num_workers": 0}) == 0  # 0 is not treated as unset
    assert checked_workers(**{**SOUND, "num_workers": 100}) == 100


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("in_channels", 2, "must be 1"),
        ("size", 0, "at least 1 pixel"),
        ("num_workers", -1, "0 or more, or null"),
        ("test_fraction", 0, "above 0 and below 1"),
        ("test_fraction", 1.0, "above 0 and below 1"),
        ("test_fraction", float("nan"), "above 0 and below 1"),
        ("fit", "whole", "allowed: crop, pad, stretch"),
    ],
)
def test_values_out_of_range_are_one_line(option, value, allowed):
    with pytest.raises(InputError, match=f"^{option}={value}: .*{allowed}"):
        checked_workers(**{**SOUND, option: value})


def test_every_fit_is_known():
    for fit in ("crop", "pad", "stretch"):
        check_fit_name(fit)
