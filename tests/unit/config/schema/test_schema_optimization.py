"""The documented arguments of losses, optimisers and schedules exist, and have ranges."""

import pytest

from vgg_lit.config.schema import optimization

OF_ALL_OPTIMIZERS = {"decay_norm_and_bias", "layer_rates", "layer_epochs", "fused"}
"""Keys of `optimizer` that `vgg_lit.optim.building` reads, whatever the target."""


def documented(section):
    return set(section.model_fields) - {"target"}


def test_each_argument_of_the_loss_is_one_of_a_loss(arguments_of):
    assert documented(optimization.LossGroup) <= arguments_of("loss")


def test_each_argument_of_the_optimizer_is_one_of_an_optimizer(arguments_of):
    assert documented(optimization.OptimizerGroup) - OF_ALL_OPTIMIZERS <= arguments_of("optimizer")


@pytest.mark.parametrize(
    ("section", "name", "allowed", "refused"),
    [
        ("LossGroup", "label_smoothing", [0, 0.99], [1, -0.1]),
        ("LossGroup", "class_weights", ["auto", [0, 2.5], None], ["inverse", [-1]]),
        ("LossGroup", "temperature", [0.5], [0]),
        ("LossGroup", "weight", [0, 1], [1.1]),
        ("OptimizerGroup", "lr", [1e-9], [0, -1]),
        ("OptimizerGroup", "momentum", [0], [1]),
        ("OptimizerGroup", "betas", [[0.9, 0.999]], [[0.9], [0.9, 0.99, 0.999]]),
        ("OptimizerGroup", "layer_rates", [{"block1": 0.1}, None], [{"block1": 0}]),
        ("OptimizerGroup", "layer_epochs", [{"block1": 3}], [{"block1": 0}]),
        ("SchedulerGroup", "start_factor", [1, 0.01], [0]),
        ("SchedulerGroup", "end_factor", [0, 1], [1.1]),
        ("SchedulerGroup", "milestones", [[3, 6]], [[0], 3]),
        ("SchedulerGroup", "threshold_mode", ["abs", "rel"], ["absolute"]),
    ],
)
def test_values_in_the_range_are_allowed(section, name, allowed, refused, is_allowed):
    known = getattr(optimization, section)
    assert [value for value in allowed if not is_allowed(known, name, value)] == []
    assert [value for value in refused if is_allowed(known, name, value)] == []
