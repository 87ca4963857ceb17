"""Types in a training state, compared with those of a new training."""

import pytest
import torch

from vgg_lit.errors import InputError
from vgg_lit.training.state_values import check_kind, check_values


@pytest.mark.parametrize(
    ("found", "fresh"),
    [
        (3, 0),
        (1, 0.5),
        (torch.tensor(1.0), 0.5),
        ([1], [1, 2]),
        ({"b": "x"}, {"a": 1}),
        (None, None),
    ],
)
def test_equal_types_pass(found, fresh):
    check_kind(found, fresh, "part")


@pytest.mark.parametrize(
    ("found", "fresh"),
    [(True, 0), (1.5, 0), ("x", 0.5), (5, {}), ({"a": "x"}, {"a": 1}), (1, True)],
)
def test_other_types_are_refused(found, fresh):
    with pytest.raises(InputError, match=r"^part"):
        check_kind(found, fresh, "part")


def test_lists_of_settings_have_the_same_length():
    with pytest.raises(InputError, match="has 1 values, not 2"):
        check_kind([0.1], [0.1, 0.2], "part", counts=False)


@pytest.mark.parametrize("metrics", [{1: 0.5}, {"val/acc": "x"}, [0.5]])
def test_the_metrics_of_the_best_epoch_are_numbers_by_name(metrics):
    parts = {"state_dict": {}, "loops": {}, "optimizer_states": [], "lr_schedulers": []}
    state = {**parts, "global_step": 4, "callbacks": {"Checkpointing": {"best_metrics": {"a": 1}}}}
    check_values(state)
    state["callbacks"]["Checkpointing"]["best_metrics"] = metrics
    with pytest.raises(InputError, match=r"^best_metrics=.*: are not numbers by name$"):
        check_values(state)
