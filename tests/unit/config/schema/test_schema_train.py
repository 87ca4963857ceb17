"""Values of the settings of training and search at the ends of their ranges."""

import pytest

from vgg_lit.config.schema import train


@pytest.mark.parametrize(
    ("section", "name", "allowed", "refused"),
    [
        ("Data", "num_classes", [2, None], [1, 2.0]),
        ("Data", "batch_size", [1], [0, "16"]),
        ("Data", "val_fraction", [0, 0.99], [1, -0.1]),
        ("Data", "folds", [2, None], [1]),
        ("Data", "splitting", ["stable", "stratified"], ["random"]),
        ("Data", "seed", [0, 2**32 - 1], [-1, 2**32]),
        ("Trainer", "devices", [1, "auto", [0, 3]], [0, "2", [-1]]),
        ("Trainer", "process_timeout", [0.1], [0]),
        ("Trainer", "max_steps", [-1, 0], [-2]),
        ("Trainer", "gradient_clip_val", [0.5, None], [0]),
        ("Trainer", "deterministic", [True, "warn"], ["yes"]),
        ("Trainer", "limit_val_batches", [0, 7, 0.5, None], [1.5, -1]),
        ("Trainer", "fast_dev_run", [True, 2], [-2]),
        ("Init", "layers", [["block1"], {"new": "old"}, None], ["block1", [1]]),
        ("Train", "model", [{"_target_": "a.B"}], ["vgg16", None]),
        ("Train", "callbacks", [{"ema": {}, "swa": None}, None], [["default"]]),
        ("Train", "compile", [False, "max-autotune"], ["max"]),
        ("Train", "small_map_gemm", [True, "auto"], ["on"]),
        ("Train", "freeze", [[], ["block1"]], ["block1"]),
        ("Tune", "n_trials", [1], [0]),
        ("Tune", "storage", ["sqlite", "journal"], ["postgres"]),
    ],
)
def test_values_in_the_range_are_allowed(section, name, allowed, refused, is_allowed):
    known = getattr(train, section)
    assert [value for value in allowed if not is_allowed(known, name, value)] == []
    assert [value for value in refused if is_allowed(known, name, value)] == []


def test_the_source_of_weights_is_named_from():
    assert train.Init(**{"from": "runs/a", "layers": None}).origin == "runs/a"


def test_the_trials_of_a_search_take_every_setting_of_training():
    inherited = {
        name: train.Tune.model_fields[name].annotation for name in train.Train.model_fields
    }
    assert inherited == {name: f.annotation for name, f in train.Train.model_fields.items()}
    assert set(train.Tune.model_fields) - set(inherited) == {
        *("space", "sampler", "pruner", "n_trials", "n_jobs", "storage"),
    }
