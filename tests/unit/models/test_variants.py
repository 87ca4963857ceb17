"""The table of variants, the parser of plans and heads, and their errors."""

import doctest
import subprocess
import sys

import pytest

from vgg_lit.errors import InputError
from vgg_lit.models import variants
from vgg_lit.models.variants import (
    HEADS,
    TABLE_1,
    VARIANTS,
    Conv,
    Head,
    parse_plan,
    resolve_head,
    resolve_variant,
    scale_head,
    scale_plan,
    smallest_image_size,
)

WEIGHT_LAYERS = {"A": 11, "A-LRN": 11, "B": 13, "C": 16, "D": 16, "E": 19}


@pytest.mark.parametrize(("letter", "layers"), WEIGHT_LAYERS.items())
def test_table_1_has_the_papers_number_of_weight_layers(letter, layers):
    plan = TABLE_1[letter]
    assert sum(len(block) for block in plan) + 3 == layers
    assert [block[-1].channels for block in plan] == [64, 128, 256, 512, 512]


def test_c_differs_from_d_only_in_three_1x1_convolutions():
    kernels = {
        letter: [[conv.kernel for conv in block] for block in TABLE_1[letter]] for letter in "CD"
    }
    assert kernels["D"] == [[3, 3], [3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]]
    assert kernels["C"] == [[3, 3], [3, 3], [3, 3, 1], [3, 3, 1], [3, 3, 1]]


def test_only_a_lrn_has_lrn_and_only_once():
    with_lrn = {letter: [c for b in plan for c in b if c.lrn] for letter, plan in TABLE_1.items()}
    assert with_lrn.pop("A-LRN") == [TABLE_1["A-LRN"][0][0]]
    assert not any(with_lrn.values())


def test_every_variant_but_a_lrn_has_a_batch_norm_twin():
    plain = {name for name, variant in VARIANTS.items() if not variant.batch_norm}
    assert plain == {"vgg11", "vgg11_lrn", "vgg13", "vgg16_1x1", "vgg16", "vgg19"}
    assert set(VARIANTS) - plain == {f"{name}_bn" for name in plain - {"vgg11_lrn"}}


def test_the_variants_load_without_torch():
    code = "import sys, vgg_lit.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_parse_plan_accepts_all_items_and_parsed_plans():
    plan = parse_plan([[64, "LRN"], [[128, 5], (256, 1)]])
    assert plan == ((Conv(64, 3, lrn=True),), (Conv(128, 5), Conv(256, 1)))
    assert parse_plan(plan) == plan


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [
        ([], "is not a list of blocks"),
        (None, "is not a list of blocks"),
        ([64, 128], "block 1 .* is not a list of convolutions"),
        ([[64], []], "block 2 .* is not a list of convolutions"),
        ([[64], "128"], "block 2 .* is not a list of convolutions"),
        ([[64, 0]], "channels=0"),
        ([[-3]], "channels=-3"),
        ([[True]], "channels=True"),
        ([[64.0]], "channels=64.0"),
        ([[(64, 2)]], "kernel=2 is even"),
        ([[(64, 0)]], "kernel=0"),
        ([[(64, True)]], "kernel=True"),
        ([[(64, 3, 1)]], r"\(64, 3, 1\) is not a layer"),
        ([["64"]], "'64' is not a layer"),
        ([["LRN", 64]], "'LRN' is not a layer"),
        ([[64, "LRN", "LRN"]], "'LRN' is not a layer"),
    ],
)
def test_parse_plan_reports_errors_in_one_line(plan, complaint):
    with pytest.raises(InputError, match=complaint) as error:
        parse_plan(plan)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("head", "complaint"),
    [
        ("imagnet", "Did you mean 'imagenet'.*Allowed: imagenet, cifar, linear, gap"),
        (None, "unknown head 'None'"),
        ([512], r"unknown head '\[512\]'"),
        ({"hiden": [512]}, "unknown field of a head 'hiden'. Did you mean 'hidden'"),
        ({"hidden": 512}, "hidden=512 is not a list"),
        ({"hidden": "512"}, "hidden='512' is not a list"),
        ({"hidden": [512, 0]}, "hidden features=0"),
        ({"pool": 0}, "pool=0"),
        ({"image_size": 32.0}, "image_size=32.0"),
        ({"hidden": [512], "batch_norm": "no"}, "batch_norm='no'"),
        ({"hidden": [512], "dropout": 1}, r"dropout=1 is not in \[0, 1\)"),
        ({"hidden": [512], "dropout": -0.1}, "dropout=-0.1"),
        ({"hidden": [512], "dropout": float("nan")}, "dropout=nan"),
        ({"dropout": 0.5}, "without hidden layers"),
        ({"batch_norm": True}, "without hidden layers"),
    ],
)
def test_resolve_head_reports_errors(head, complaint):
    with pytest.raises(InputError, match=complaint):
        resolve_head(head)


def test_resolve_head_accepts_names_mappings_and_heads():
    assert resolve_head("gap") is HEADS["gap"]
    head = resolve_head({"hidden": [1024], "dropout": 0.5})
    assert head == Head(hidden=(1024,), pool=None, batch_norm=False, dropout=0.5)
    assert resolve_head(head) is head


@pytest.mark.parametrize(
    ("variant", "batch_norm", "complaint"),
    [
        ("vgg17", None, "Did you mean 'vgg1.*Allowed: vgg11, vgg11_bn"),
        ("vgg16", True, "batch_norm=True is allowed with a plan only"),
        ("vgg16_bn", False, "batch_norm=False is allowed with a plan only"),
        ([[64]], "no", "batch_norm='no' is not a bool"),
    ],
)
def test_resolve_variant_reports_errors(variant, batch_norm, complaint):
    with pytest.raises(InputError, match=complaint):
        resolve_variant(variant, batch_norm)


def test_resolve_variant_of_a_plan():
    assert not resolve_variant([[64]]).batch_norm
    assert resolve_variant([[64]], batch_norm=True).batch_norm
    assert resolve_variant([[64]]).letter is None


def test_smallest_image_size_halves_to_one_pixel():
    assert [smallest_image_size(parse_plan([[8]] * n)) for n in (1, 3, 5)] == [2, 8, 32]


def test_width_scales_channels_and_hidden_layers_and_keeps_at_least_one():
    plan = parse_plan([[64, "LRN"], [(100, 1)]])
    assert scale_plan(plan, 0.25) == ((Conv(16, 3, lrn=True),), (Conv(25, 1),))
    assert scale_plan(plan, 0.001) == ((Conv(1, 3, lrn=True),), (Conv(1, 1),))
    assert scale_head(HEADS["cifar"], 1.5) == Head((768, 768), batch_norm=True, dropout=0.5)


@pytest.mark.parametrize("width", [0, -1, float("inf"), float("nan"), True, "2"])
def test_width_must_be_a_positive_number(width):
    with pytest.raises(InputError, match="width="):
        scale_plan(parse_plan([[64]]), width)


def test_the_examples_in_the_docstring():
    assert doctest.testmod(variants).failed == 0
