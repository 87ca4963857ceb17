"""Settings that several configs do not share."""

from vgg_lit.config.differences import differing_settings


def test_only_what_differs_by_its_dotted_key():
    a = {"seed": 0, "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1}}
    b = {"seed": 0, "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.2}}
    assert differing_settings({"a": a, "b": b}) == {"optimizer.lr": {"a": 0.1, "b": 0.2}}
    assert differing_settings({"a": a, "b": a}) == {}


def test_what_follows_another_setting_is_not_named_again():
    configs = {name: {"seed": seed, "data": {"seed": seed}} for name, seed in (("a", 0), ("b", 1))}
    assert differing_settings(configs) == {"seed": {"a": 0, "b": 1}}


def test_arguments_of_another_kind_of_section_are_left_out():
    sgd = {"optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1, "momentum": 0.9}}
    adam = {"optimizer": {"_target_": "torch.optim.Adam", "lr": 0.1, "betas": [0.9, 0.999]}}
    found = differing_settings({"a": sgd, "b": adam})
    assert found == {"optimizer": {"a": "SGD", "b": "Adam"}}


def test_settings_of_the_command_are_none_of_the_run():
    assert differing_settings({"a": {"resume": None}, "b": {"resume": "auto"}}) == {}


def test_a_setting_that_only_some_have_differs():
    assert differing_settings({"a": {}, "b": {"compile": True}}) == {
        "compile": {"a": None, "b": True}
    }
