"""Dotted names from a config: the allowlist and the checks of arguments."""

import sys
from typing import Annotated, Literal

import pytest
import torch
from pydantic import Field, TypeAdapter, ValidationError
from torch import nn

from vgg_lit import targets
from vgg_lit.errors import ConfigError, InputError, one_line, unknown_key
from vgg_lit.targets import check_type, explain, instantiate, locate, trust


@pytest.fixture(autouse=True)
def untouched_trust(monkeypatch):
    """Resets the trusted prefixes for each test."""
    monkeypatch.setattr(targets, "_trusted", set())


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A custom package of the user."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("")
    (tmp_path / "mine" / "things.py").write_text(
        "import os\n"
        "class Thing:\n"
        "    def __init__(self, size: int, names: tuple[str, ...] = (), scale: float = 1.0,\n"
        "                 inner: object = None, flag: bool = False):\n"
        "        if size > 9:\n"
        "            raise ValueError(f'size={size}\\n is too large')\n"
        "        self.size, self.names, self.scale = size, names, scale\n"
        "        self.inner, self.flag = inner, flag\n"
        "def collect(**options):\n"
        "    return options\n"
        "number = 3\n"
    )
    (tmp_path / "mine" / "broken.py").write_text("import there_is_no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "mine."
    for name in [name for name in sys.modules if name == "mine" or name.startswith("mine.")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "builtins.exec",
        "subprocess.run",
        "subprocess.Popen",
        "torch.hub.load",
        "torch.load",
        "torch.os.system",
        "vgg_lit.targets.trust",
        "vgg_lit.targets.instantiate",
        "vgg_lit.runs.subprocess.run",
        "vgg_lit.train.main",
        "lightning.pytorch.trainer.call.os.system",
        "pickle.loads",
        "torch",
        "",
        "torch.nnx.Linear",
        "torchvision.modelsx.vgg11",
    ],
)
def test_names_outside_the_allowlist_are_not_imported(name):
    with pytest.raises(ConfigError, match="only names under") as refused:
        locate(name, key="model")
    assert str(refused.value).startswith(f"model._target_={name}: ")
    assert "trusted_targets" in str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        "torch.nn.os.system",
        "torch.nn.functional.importlib.import_module",
        "torch.nn.modules.module.warnings.warn",
        "torch.optim.optimizer.cast",
        "torch.nn.modules.module.functools.partial",
        "vgg_lit.data.import_module",
        "vgg_lit.data.datamodule.replace",
        "vgg_lit.data.fashion_mnist.tempfile.mkdtemp",
        "torchvision.models.vgg.partial",
        "torch.nn.Linear.__init__.__globals__",
        "torch.nn.Linea",
        "torch.nn.nothing.at.all",
        "vgg_lit.models._builder",
        # objects from other modules of the same package, and internal functions: they write files
        "lightning.pytorch.loggers.tensorboard.save_hparams_to_yaml",
        "vgg_lit.optim.instantiate",
        "vgg_lit.data.image_cache.write_record",
        "vgg_lit.data.downloads.fetch",
        "vgg_lit.callbacks.metrics_table.write_text",
    ],
)
def test_objects_that_an_allowed_module_imports_are_refused(name):
    with pytest.raises(ConfigError, match="there is no such class or function"):
        locate(name)


@pytest.mark.parametrize("name", [None, 3, ["torch.nn.Linear"], True])
def test_a_target_has_to_be_a_string(name):
    with pytest.raises(ConfigError, match="_target_"):
        locate(name)


def test_network_prefixes_allow_networks_only():
    assert locate("torch.nn.Linear", prefixes=targets.NETWORKS) is nn.Linear
    for name in ("torch.optim.SGD", "vgg_lit.data.FashionMNIST", "lightning.pytorch.Trainer"):
        assert callable(locate(name))
        with pytest.raises(ConfigError, match=r"only names under vgg_lit\.models"):
            locate(name, prefixes=targets.NETWORKS)
    with pytest.raises(ConfigError, match=r"only names under vgg_lit\.models"):
        instantiate(
            {"_target_": "torch.nn.ModuleList", "modules": [{"_target_": "torch.optim.SGD"}]},
            key="model",
            prefixes=targets.NETWORKS,
        )


def test_targets_of_configs_are_found():
    assert locate("torch.nn.Linear") is nn.Linear
    assert locate("torch.optim.SGD") is torch.optim.SGD
    assert locate("vgg_lit.models.vgg16_bn")(num_classes=3, width=0.01, head="gap")
    assert callable(locate("torchvision.models.vgg11"))
    assert callable(locate("vgg_lit.ImageDataModule"))


def test_a_custom_package_is_allowed_when_it_is_trusted(mine):
    with pytest.raises(ConfigError, match="only names under"):
        locate("mine.things.Thing")
    trust(["mine"])
    thing = instantiate({"_target_": "mine.things.Thing", "size": 2}, key="thing")
    assert thing.size == 2
    with pytest.raises(ConfigError, match="only names under"):
        locate("mine_too.things.Thing")
    with pytest.raises(ConfigError, match="no such class"):
        locate("mine.things.os.system")
    with pytest.raises(ConfigError, match="no such class"):
        locate("mine.things.number")


def test_a_failing_import_in_a_trusted_module_is_raised(mine):
    trust([mine])
    with pytest.raises(ModuleNotFoundError, match="there_is_no_such_package"):
        locate("mine.broken.Thing")


@pytest.mark.parametrize("prefix", ["", ".", "my package", "a;b", "os.system('x')"])
def test_only_module_names_are_trusted(prefix):
    with pytest.raises(ConfigError, match="trusted_targets"):
        trust([prefix])
    assert not targets._trusted


def test_nested_specs_are_built_first_also_in_lists_and_mappings(mine):
    trust([mine])
    inner = {"_target_": "torch.nn.ReLU"}
    built = instantiate(
        {
            "_target_": "mine.things.collect",
            "one": inner,
            "many": [inner, [inner]],
            "named": {"a": inner, "b": {"c": 1}},
        },
        key="thing",
    )
    assert isinstance(built["one"], nn.ReLU)
    assert isinstance(built["many"][1][0], nn.ReLU)
    assert isinstance(built["named"]["a"], nn.ReLU)
    assert built["named"]["b"] == {"c": 1}


def test_a_nested_spec_is_checked_against_the_same_allowlist(mine):
    trust([mine])
    spec = {"_target_": "mine.things.collect", "deep": [{"_target_": "os.system", "command": "x"}]}
    with pytest.raises(ConfigError, match=r"thing\.deep\[0\]\._target_=os\.system"):
        instantiate(spec, key="thing")


def test_a_spec_needs_a_target():
    with pytest.raises(ConfigError, match=r"^model: has no _target_"):
        instantiate({"lr": 1}, key="model")


def test_an_unknown_argument_is_reported_with_the_nearest_and_all_names():
    with pytest.raises(ConfigError) as refused:
        instantiate({"_target_": "torch.nn.Linear", "in_feature": 1}, key="layer")
    assert str(refused.value).startswith(
        "unknown key layer.in_feature; did you mean layer.in_features? allowed: in_features, "
    )


def test_a_missing_argument_is_named():
    with pytest.raises(ConfigError, match=r"^layer\.out_features: is needed and not set$"):
        instantiate({"_target_": "torch.nn.Linear", "in_features": 1}, key="layer")


def test_runtime_arguments_are_passed_unchecked(mine):
    trust([mine])
    thing = instantiate({"_target_": "mine.things.Thing"}, key="thing", size=nn.ReLU() and 3)
    assert thing.size == 3


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (True, int),
        (1, bool),
        ("1", int),
        ("1", float),
        (1.0, int),
        (1.5, int),
        ("true", bool),
        (1, str),
        ([1], int),
        ([1, "2"], list[int]),
        ([1.0, "2"], tuple[float, float]),
        ([1.0], tuple[float, float]),
        (None, int),
        ("c", Literal["a", "b"]),
    ],
)
def test_types_are_strict(value, annotation):
    with pytest.raises(ConfigError, match=r"^opt\.x=.+: should be") as refused:
        check_type(value, annotation, key="opt.x")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (1, float),
        (1, int),
        (1.5, float | torch.Tensor),
        (None, int | None),
        ([0.9, 0.999], tuple[float, float]),
        ([0.9, 0.999], tuple[float | torch.Tensor, float | torch.Tensor]),
        (["a", "b"], tuple[str, ...]),
        ([1, 2], list[int]),
        ({"a": 1}, dict[str, int]),
    ],
)
def test_a_value_of_the_type_passes(value, annotation):
    check_type(value, annotation, key="x")


def test_the_types_of_a_target_are_checked(mine):
    trust([mine])
    for wrong in ({"size": "1"}, {"size": True}, {"size": 1, "scale": "x"}, {"size": 1, "flag": 1}):
        with pytest.raises(ConfigError, match=r"^thing\.(size|scale|flag)="):
            instantiate({"_target_": "mine.things.Thing", **wrong}, key="thing")
    names = {"_target_": "mine.things.Thing", "size": 1, "names": ["a"]}
    assert list(instantiate(names, key="thing").names) == ["a"]


def test_a_targets_error_is_reported_in_one_line_with_the_key(mine):
    trust([mine])
    with pytest.raises(ConfigError) as refused:
        instantiate({"_target_": "mine.things.Thing", "size": 10}, key="thing")
    assert str(refused.value) == "thing.size=10: size=10 is too large"
    assert isinstance(refused.value.__cause__, ValueError)


def test_an_error_of_torch_is_reported_with_the_key():
    weight = nn.Parameter(torch.zeros(1))
    spec = {"_target_": "torch.optim.SGD", "lr": -1.0}
    with pytest.raises(
        ConfigError, match=r"^optimizer(\.lr=-1\.0)?: Invalid learning rate: -1\.0$"
    ):
        instantiate(spec, key="optimizer", params=[weight])


def test_a_config_error_is_an_input_error():
    assert issubclass(ConfigError, InputError)
    assert issubclass(InputError, ValueError)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("gradcam", "should be a list, such as [gradcam]"),
        (32, "should be a list, such as [32]"),
        ({}, "should be a valid list"),
        ([], "should have 1 or more values"),
    ],
)
def test_a_list_is_asked_for_by_example(value, message):
    with pytest.raises(ValidationError) as error:
        TypeAdapter(Annotated[list[str], Field(min_length=1)]).validate_python(value)
    assert explain(error.value.errors()) == message


def test_messages_are_joined_without_duplicates():
    items = [
        {"type": "a", "input": 3, "msg": "Input should be a"},
        {"type": "a", "input": 3, "msg": "Input should be a"},
        {"type": "b", "input": 3, "msg": "Input should be b"},
    ]
    assert explain(items) == "should be a or should be b"
    assert one_line(ValueError("two\n  lines")) == "two lines"
    assert one_line(KeyError()) == "KeyError"
    assert unknown_key("", "sede", ["seed"]) == (
        "unknown key sede; did you mean seed? allowed: seed"
    )
    assert unknown_key("a", "zzz", ["seed"]) == "unknown key a.zzz; allowed: seed"
