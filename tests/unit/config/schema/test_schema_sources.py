"""The documented arguments of `data.source` are those of the sources of images."""

import inspect

import pytest
from omegaconf import OmegaConf

from vgg_lit.config.group_options import config_folder
from vgg_lit.config.schema.sources import SourceSettings
from vgg_lit.targets import locate


def sources():
    """The sources that the files of conf/data name."""
    for file in sorted((config_folder() / "data").glob("*.yaml")):
        source = OmegaConf.to_container(OmegaConf.load(file)).get("source")
        if isinstance(source, dict):
            yield locate(source["_target_"])


def test_each_argument_is_one_of_a_source_and_each_is_documented():
    known = {name for source in sources() for name in inspect.signature(source).parameters}
    assert set(SourceSettings.model_fields) - {"target"} == known


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("size", [1], [0]),
        ("test_fraction", [0, 0.5], [1]),
        ("fit", ["crop", "pad", "stretch"], ["fill"]),
        ("damaged", ["error", "skip"], ["ignore"]),
        ("max_megapixels", [0.5], [0]),
        ("num_workers", [0], [-1]),
        ("classes", [["a"], None], ["a"]),
    ],
)
def test_values_in_the_range_are_allowed(name, allowed, refused, is_allowed):
    assert [value for value in allowed if not is_allowed(SourceSettings, name, value)] == []
    assert [value for value in refused if is_allowed(SourceSettings, name, value)] == []
