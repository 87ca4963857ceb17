"""Test-time views compared with crops and resizing done by hand."""

import pytest
import torch
import torch.nn.functional as F

from vgg_lit.data.preprocessing import Preprocessing
from vgg_lit.errors import InputError
from vgg_lit.evaluation.views import Views, asked_views, crop_grid, crops, describe_views, rescale


def preprocessing(source_size=32, image_size=32):
    return Preprocessing(1, source_size, image_size, mean=(0.25,), std=(0.5,))


def images(side=32, count=2):
    draws = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8, generator=draws)


def test_the_default_view_is_the_network_input():
    for source_size in (28, 32, 40):
        prepare = preprocessing(source_size)
        (view,) = Views().of(images(source_size), prepare)
        assert torch.equal(view, prepare(images(source_size)))


def test_a_mirror_image_follows_each_view():
    prepare = preprocessing()
    plain, mirrored = Views(flip=True).of(images(), prepare)
    assert torch.equal(plain, prepare(images()))
    assert torch.equal(mirrored, prepare(images().flip(-1)))


def test_50_crops_are_a_5_x_5_grid_with_mirror_images():
    prepare = preprocessing()
    views = list(Views(grid=5, scales=(40,), flip=True).of(images(), prepare))
    whole = prepare.normalize(
        F.interpolate(images().float(), (40, 40), mode="bilinear", antialias=True)
    )
    expected = []
    for top in (0, 2, 4, 6, 8):
        for left in (0, 2, 4, 6, 8):
            crop = whole[:, :, top : top + 32, left : left + 32]
            expected += [crop, crop.flip(-1)]
    assert len(views) == 50
    assert all(map(torch.equal, views, expected))


@pytest.mark.parametrize(
    ("side", "grid", "offsets"),
    [
        (32, 1, [0]),
        (37, 1, [2]),
        (40, 2, [0, 8]),
        (37, 3, [0, 2, 5]),
        (36, 5, [0, 1, 2, 3, 4]),
    ],
)
def test_a_grid_reaches_from_edge_to_edge(side, grid, offsets):
    x = torch.arange(side * side).view(1, 1, side, side)
    corners = [crop[0, 0, 0, 0].item() for crop in crops(x, 32, grid)]
    assert corners == [top * side + left for top in offsets for left in offsets]
    assert all(crop.shape == (1, 1, 32, 32) for crop in crops(x, 32, grid))


def test_dense_views_are_whole_images_at_each_scale():
    views = Views(grid=None, scales=(32, 48, 28)).of(images(), preprocessing())
    assert [view.shape[-1] for view in views] == [32, 48, 28]


def test_padding_is_applied_before_rescaling():
    prepare = preprocessing(28, 32)
    padded = F.pad(images(28), (2, 2, 2, 2)).float()
    expected = F.interpolate(padded, (40, 40), mode="bilinear", antialias=True)
    assert torch.equal(rescale(images(28), prepare, 40), prepare.normalize(expected))


def test_large_images_are_rescaled_from_the_source_in_one_step():
    prepare = preprocessing(64, 32)
    expected = F.interpolate(images(64).float(), (48, 48), mode="bilinear", antialias=True)
    assert torch.equal(rescale(images(64), prepare, 48), prepare.normalize(expected))
    assert torch.equal(rescale(images(64), prepare, 64), prepare.normalize(images(64)))


@pytest.mark.parametrize(
    ("number", "grid"),
    [(1, (1, False)), (2, (1, True)), (9, (3, False)), (25, (5, False)), (50, (5, True))],
)
def test_a_number_of_crops_is_a_grid_with_or_without_mirror_images(number, grid):
    assert crop_grid(number) == grid


@pytest.mark.parametrize("number", [3, 10, 24, 49 * 3])
def test_a_number_of_crops_that_is_not_a_grid_is_refused(number):
    with pytest.raises(InputError, match=rf"^crops={number}: not a regular grid; allowed: "):
        crop_grid(number)


def test_views_are_built_from_the_options():
    def asked(flip=False, scales=None, dense=False, crops=None):
        return asked_views(flip, scales, dense, crops)

    assert asked() == (Views(),)
    assert asked(flip=True, scales=[32, 40]) == (Views(1, (32, 40), True),)
    assert asked(dense=True) == (Views(None),)
    assert asked(crops=50) == (Views(5, (), True),)
    assert asked(flip=True, crops=25) == asked(crops=50)
    both = asked(dense=True, crops=25, scales=[40])
    assert both == (Views(None, (40,)), Views(5, (40,)))


@pytest.mark.parametrize(
    ("views", "text"),
    [
        ([Views()], "single view"),
        ([Views(flip=True)], "flip"),
        ([Views(scales=(32, 40))], "centre crop at 32, 40"),
        ([Views(1, (32,), True)], "centre crop, flip at 32"),
        ([Views(None, (64,)), Views(5, (64,), True)], "dense + 50 crops at 64"),
    ],
)
def test_views_are_described_for_a_table(views, text):
    assert describe_views(views) == text


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (Views(scales=(40, 30)), "scales: 30 is too small for the network; at least 32"),
        (Views(None, (30,)), "scales: 30 is too small for the network; at least 31"),
        (
            Views(5, (35,)),
            "crops=25: scale 35 is too small for 5 x 5 different crops of 32 pixels",
        ),
        (Views(5, (), True), r"crops=50: .* input size of 32 pixels is too small .* at least 36"),
    ],
)
def test_a_scale_that_is_too_small_is_refused(views, message):
    with pytest.raises(InputError, match=message):
        views.check(image_size=32, smallest_dense=31)


@pytest.mark.parametrize("views", [Views(), Views(5, (36,), True), Views(None, (31,))])
def test_the_smallest_scale_is_allowed(views):
    views.check(image_size=32, smallest_dense=31)


@pytest.mark.parametrize("flip", [False, True])
def test_shifted_views_are_mirrored_at_the_edge_and_count_half(flip):
    prepare = preprocessing()
    whole = prepare(images())
    padded = F.pad(whole, (2, 2, 2, 2), mode="reflect")
    up_left, down_right = padded[..., 4:, 4:], padded[..., :-4, :-4]
    expected = [
        (turned, weight)
        for view, weight in ((whole, 2), (up_left, 1), (down_right, 1))
        for turned in ([view, view.flip(-1)] if flip else [view])
    ]
    found = list(Views(flip=flip, shift=2).weighted(images(), prepare))
    assert [weight for _, weight in found] == [weight for _, weight in expected]
    for (view, _), (by_hand, _) in zip(found, expected, strict=True):
        assert torch.equal(view, by_hand)
    assert torch.equal(up_left[..., :-2, :-2], whole[..., 2:, 2:])


def test_views_without_shifts_count_alike():
    for views in (Views(flip=True), Views(5, (36,), True)):
        assert {weight for _, weight in views.weighted(images(), preprocessing())} == {1}


def test_shifts_go_with_the_single_view_alone():
    assert asked_views(True, None, False, None, 1) == (Views(1, (), True, 1),)
    assert describe_views([Views(flip=True, shift=1)]) == "flip, shifts by 1"
    for dense, number in ((True, None), (False, 9)):
        with pytest.raises(InputError, match=r"^shifts=1: goes with the single view"):
            asked_views(False, None, dense, number, 1)
    with pytest.raises(InputError, match=r"^shifts=32: should be below"):
        Views(shift=32).check(32)
