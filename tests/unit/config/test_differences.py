"""Settings that differ between configs."""

from vgg_lit.config.differences import (
    WITHOUT_EFFECT,
    WITHOUT_RESULT,
    changes,
    differing_settings,
    named_settings,
)


def test_differing_settings_have_dotted_keys():
    a = {"seed": 0, "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1}}
    b = {"seed": 0, "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.2}}
    assert differing_settings({"a": a, "b": b}) == {"optimizer.lr": {"a": 0.1, "b": 0.2}}
    assert differing_settings({"a": a, "b": a}) == {}


def test_a_setting_that_follows_another_is_omitted():
    configs = {name: {"seed": seed, "data": {"seed": seed}} for name, seed in (("a", 0), ("b", 1))}
    assert differing_settings(configs) == {"seed": {"a": 0, "b": 1}}


def test_arguments_of_a_different_target_are_omitted():
    sgd = {"optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1, "momentum": 0.9}}
    adam = {"optimizer": {"_target_": "torch.optim.Adam", "lr": 0.1, "betas": [0.9, 0.999]}}
    found = differing_settings({"a": sgd, "b": adam})
    assert found == {"optimizer": {"a": "SGD", "b": "Adam"}}


def test_a_section_that_follows_another_has_no_settings_of_its_target():
    crop = {"_target_": "FlipCrop", "padding": 4}
    both = {"_target_": "Compose", "crop": crop, "erasing": {"_target_": "Erasing", "scale": 0.4}}
    configs = {
        name: {"augment": augment, "data": {"augment": augment}}
        for name, augment in (("a", {"_target_": "NoAugmentation"}), ("b", crop), ("c", both))
    }
    assert differing_settings(configs) == {
        "augment": {"a": "NoAugmentation", "b": "FlipCrop", "c": "Compose"}
    }
    wider = {"_target_": "FlipCrop", "padding": 8}
    configs["a"] = {"augment": wider, "data": {"augment": wider}}
    del configs["c"]
    assert differing_settings(configs) == {"augment.padding": {"a": 8, "b": 4}}


def test_settings_of_the_command_are_ignored():
    assert differing_settings({"a": {"resume": None}, "b": {"resume": "auto"}}) == {}


def test_a_setting_that_only_some_have_differs():
    assert differing_settings({"a": {}, "b": {"compile": True}}) == {
        "compile": {"a": None, "b": True}
    }


def test_a_name_stands_for_a_key_a_section_or_else_a_last_part():
    keys = ["optimizer.lr", "optimizer.momentum", "seed", "data.seed"]
    assert named_settings("optimizer", keys) == keys[:2]
    assert named_settings("lr", keys) == ["optimizer.lr"]
    assert named_settings("seed", keys) == ["seed"]
    assert named_settings("rate", keys) == []


def test_ranks_and_resumed_runs_need_the_same_callback_of_tensorboard():
    assert "callbacks.tensorboard" in WITHOUT_RESULT
    before, after = {"callbacks": {}}, {"callbacks": {"tensorboard": {"norms": 5}}}
    assert len(list(changes(before, after))) == 1


def test_settings_without_an_effect_are_named_once():
    assert len(set(WITHOUT_EFFECT)) == len(WITHOUT_EFFECT)
