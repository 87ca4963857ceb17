"""The documented arguments of networks, augmentations, callbacks and searches have ranges."""

import pytest

from vgg_lit.config.schema import groups


@pytest.mark.parametrize(
    ("section", "name", "allowed", "refused"),
    [
        ("ModelGroup", "variant", ["vgg16", [[8], [[16, 5]]]], [16, None]),
        ("ModelGroup", "head", ["gap", {"hidden": [8]}], ["mlp"]),
        ("ModelGroup", "width", [0.25, 2], [0]),
        ("ModelGroup", "dropout", [0, 0.5, None], [1]),
        ("ModelGroup", "init", ["paper", "dirac"], ["zeros"]),
        ("ModelGroup", "num_classes", [1, None], [0]),
        ("MixingSettings", "alpha", [0.2], [0]),
        ("CutoutSettings", "size", [1], [0]),
        ("AugmentGroup", "flip", [True, "alternating", {"_target_": "a.B"}], ["always"]),
        ("AugmentGroup", "scale", [[0.02, 0.4]], [[0.02], 0.02]),
        ("CheckpointingSettings", "every_n_minutes", [0.5, None], [0]),
        ("EarlyStoppingSettings", "mode", ["min", "max"], ["auto"]),
        ("AverageSettings", "decay", [0, 1], [1.1]),
        ("TensorBoardSettings", "histograms", [0, 1], [-1]),
        ("TensorBoardSettings", "max_share", [1, 0.01], [0, 1.1]),
        ("SamplerGroup", "seed", [0], [-1]),
        ("PrunerGroup", "reduction_factor", [3], [0]),
    ],
)
def test_values_in_the_range_are_allowed(section, name, allowed, refused, is_allowed):
    known = getattr(groups, section)
    assert [value for value in allowed if not is_allowed(known, name, value)] == []
    assert [value for value in refused if is_allowed(known, name, value)] == []


@pytest.mark.parametrize("group", ["sampler", "pruner"])
def test_each_argument_of_a_search_is_one_of_optuna(group, arguments_of):
    pytest.importorskip("optuna", reason="needs the extra tune")
    section = {"sampler": groups.SamplerGroup, "pruner": groups.PrunerGroup}[group]
    assert set(section.model_fields) - {"target"} <= arguments_of(group)
