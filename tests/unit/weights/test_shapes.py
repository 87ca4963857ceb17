"""Plans and heads that are read from the shapes of weights."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vgg_lit.errors import InputError
from vgg_lit.models import build
from vgg_lit.models.variants import parse_plan
from vgg_lit.weights.shapes import build_from_shapes, fully_connected_shape, read_plan


def features_of(net):
    """The tensors of the modules with weights, by number."""
    found = {}
    for name, tensor in net.features.state_dict().items():
        number, _, leaf = name.rpartition(".")
        found.setdefault(int(number), {})[leaf] = tensor
    return found


BLOCKS = st.lists(
    st.lists(
        st.one_of(st.integers(1, 5), st.tuples(st.integers(1, 5), st.sampled_from([1, 3, 5]))),
        min_size=1,
        max_size=3,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=30, deadline=None)
@given(blocks=BLOCKS, channels=st.integers(1, 4), batch_norm=st.booleans(), lrn=st.booleans())
def test_a_plan_is_read_back_from_its_weights(blocks, channels, batch_norm, lrn):
    if lrn and len(blocks) > 1 and not batch_norm:
        blocks[0].append("LRN")
    with torch.device("meta"):
        net = build(
            blocks,
            num_classes=2,
            in_channels=channels,
            batch_norm=batch_norm,
            image_size=2 ** len(blocks),
            head="linear",
        )
    assert read_plan(features_of(net)) == (parse_plan(blocks), channels, batch_norm)


def conv(out=2, inputs=1, kernel=(3, 3)):
    return {"weight": torch.empty(out, inputs, *kernel, device="meta")}


NORM = {"weight": torch.empty(2), "running_mean": torch.empty(2)}


@pytest.mark.parametrize(
    "features",
    [
        {1: conv()},
        {0: conv(), 1: conv()},
        {0: conv(), 5: conv()},
        {0: conv(kernel=(2, 2))},
        {0: conv(kernel=(3, 5))},
        {0: conv(out=0)},
        {0: {"weight": torch.empty(2, 3)}},
        {0: {"bias": torch.empty(2)}},
        {0: conv(), 2: NORM},
        {0: NORM},
    ],
    ids=lambda features: str({n: list(f) for n, f in features.items()}),
)
def test_other_modules_are_named_by_their_number(features):
    with pytest.raises(InputError, match=r"features\.\d is not a convolution or its batch norm"):
        read_plan(features)


def test_batch_norm_is_everywhere_or_nowhere():
    features = {0: conv(), 1: NORM, 3: conv(inputs=2)}
    with pytest.raises(InputError, match="1 of 2 convolutions have batch norm"):
        read_plan(features)


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        ({"weight": torch.empty(3, 4)}, (3, 4)),
        ({"weight": torch.empty(3, 4, 7, 7)}, (3, 196)),  # as a convolution
    ],
)
def test_a_fully_connected_layer_has_outputs_and_inputs(tensors, expected):
    assert fully_connected_shape("classifier.0", tensors) == expected


@pytest.mark.parametrize("tensors", [{}, {"weight": torch.empty(3)}, {"bias": torch.empty(3)}])
def test_other_layers_of_the_head_are_refused(tensors):
    with pytest.raises(InputError, match=r"classifier\.0 is not a fully connected layer"):
        fully_connected_shape("classifier.0", tensors)


PLAN = parse_plan([[4], [6]])


def built(*shapes, has_norm=False, has_head_norm=False):
    return build_from_shapes(PLAN, 3, has_norm, shapes, has_head_norm=has_head_norm)


@pytest.mark.parametrize(("side", "size"), [(1, 4), (2, 8), (7, 28)])
def test_the_head_determines_the_side_of_the_images(side, size):
    net = built((5, 6 * side**2), (2, 5))
    assert net.image_size == size
    assert {p.device.type for p in net.parameters()} == {"meta"}
    assert [m.out_features for m in net.modules() if isinstance(m, nn.Linear)] == [5, 2]


def test_without_a_head_only_features_remain():
    net = built()
    assert len(net.classifier) == 0
    assert all(path.startswith("features") for path in net.layer_paths.values())


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 7)], "takes 7 features, which are not square maps of 6 channels"),
        ([(2, 6 * 3)], "takes 18 features"),
        ([(5, 6), (2, 4)], "has 5 outputs and the next takes 4; a layer is missing"),
        ([(0, 6)], "weights do not fit a VGG: "),
        ([(2, 0)], "weights do not fit a VGG: "),
        ([(2**40, 6), (2, 2**40)], None),
    ],
)
def test_shapes_that_do_not_fit_are_one_line(shapes, message):
    if message is None:
        assert built(*shapes).image_size == 4  # without memory
        return
    with pytest.raises(InputError, match=message) as refused:
        built(*shapes)
    assert "\n" not in str(refused.value)
