"""The documented metrics and loggers are those of the files in conf/."""

import inspect

import pytest
from omegaconf import OmegaConf

from vgg_lit.config.group_options import config_folder
from vgg_lit.config.schema import reporting
from vgg_lit.targets import locate

FILES = {
    group: [
        OmegaConf.to_container(OmegaConf.load(file))
        for file in (config_folder() / group).glob("*.yaml")
    ]
    for group in ("metrics", "logger")
}


def shipped(group):
    """The configs of a group by the key that a run has them under."""
    return {name: spec for content in FILES[group] for name, spec in content.items() if spec}


@pytest.mark.parametrize("group", FILES)
def test_each_shipped_config_is_documented(group):
    section = {"metrics": reporting.MetricsGroup, "logger": reporting.LoggerGroup}[group]
    assert shipped(group).keys() == section.model_fields.keys()


def test_each_metric_builds_with_its_documented_arguments():
    for name, spec in shipped("metrics").items():
        given = {key: value for key, value in spec.items() if key != "_target_"}
        metric = locate(spec["_target_"])(num_classes=3, **given)
        assert hasattr(metric, "update"), name


@pytest.mark.parametrize("name", ["tensorboard", "csv"])
def test_each_argument_of_a_logger_of_files_is_lightnings(name):
    section = {"tensorboard": reporting.TensorBoardFiles, "csv": reporting.CSVFiles}[name]
    known = inspect.signature(locate(shipped("logger")[name]["_target_"])).parameters
    assert section.model_fields.keys() <= known.keys()


def test_an_average_is_one_of_torchmetrics(is_allowed):
    section = reporting.MetricSettings
    assert all(is_allowed(section, "average", a) for a in ("micro", "macro", "weighted", "none"))
    assert not is_allowed(section, "average", "mean")
