"""Operations compared with torchvision's for a single image."""

import pytest
import torch
from torchvision.transforms import v2

from vgg_lit.data.operations import OPERATIONS, operate

POLICY = v2.TrivialAugmentWide()
HAVE_MAGNITUDE = [
    name
    for name, (magnitudes, _) in POLICY._AUGMENTATION_SPACE.items()
    if magnitudes(31, 32, 32) is not None
]


def picture(channels, height, width):
    """Returns smooth images that include black and white."""
    coarse = torch.rand(4, channels, 6, 6, generator=torch.Generator().manual_seed(channels))
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return (fine * 300 - 20).clamp(0, 255).to(torch.uint8)


def magnitudes_of(name, height, width):
    if name not in HAVE_MAGNITUDE:
        return [0.0]
    magnitudes, is_signed = POLICY._AUGMENTATION_SPACE[name]
    values = [float(value) for value in magnitudes(31, height, width)][::3]
    return values + [-value for value in values if is_signed]


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 32, 32), (3, 17, 24)])
def test_an_operation_equals_torchvisions(name, shape):
    images = picture(*shape)
    differing = total = 0
    for magnitude in magnitudes_of(name, *shape[1:]):
        found = operate(
            images, torch.full((4,), OPERATIONS.index(name)), torch.full((4,), magnitude)
        )
        assert found.dtype == torch.uint8
        expected = torch.stack(
            [
                POLICY._apply_image_or_video_transform(
                    image, name, magnitude, interpolation=POLICY.interpolation, fill=POLICY._fill
                )
                for image in images
            ]
        )
        difference = (found.int() - expected.int()).abs()
        if name in ("Color", "Contrast"):  # rounding of the product differs before truncation
            assert difference.max() <= 1
        differing += (difference > 0).sum().item()
        total += difference.numel()
    # a rotated or sheared pixel may be on the border between two pixels
    tolerated = {"Color": 3e-3, "Contrast": 3e-3, "Rotate": 1e-3, "ShearX": 1e-3, "ShearY": 1e-3}
    assert differing / total <= tolerated.get(name, 0)


def test_every_operation_except_identity_changes_images():
    images = 40 + picture(3, 24, 24) // 2  # low contrast, so that AutoContrast has an effect
    for place, name in enumerate(OPERATIONS):
        magnitude = {"TranslateX": 3.0, "TranslateY": 3.0, "Rotate": 20.0, "Posterize": 3.0}
        changed = operate(
            images, torch.full((4,), place), torch.full((4,), magnitude.get(name, 0.4))
        )
        assert torch.equal(changed, images) == (name == "Identity"), name


def test_each_sample_of_a_batch_has_a_separate_operation():
    images = picture(3, 20, 20)[torch.arange(30) % 4]
    operation = torch.arange(30) % len(OPERATIONS)
    magnitude = torch.linspace(0.1, 0.9, 30)
    whole = operate(images, operation, magnitude)
    for i in range(30):
        one = slice(i, i + 1)
        assert torch.equal(operate(images[one], operation[one], magnitude[one]), whole[one])


@pytest.mark.parametrize("level", [0, 77, 255])
def test_a_constant_image_is_unchanged(level):
    images = torch.full((2, 3, 8, 8), level, dtype=torch.uint8)
    for name in ("AutoContrast", "Equalize"):
        place = torch.full((2,), OPERATIONS.index(name))
        assert torch.equal(operate(images, place, torch.zeros(2)), images)


def test_sharpness_does_not_change_images_of_two_pixels():
    images = torch.randint(0, 256, (3, 1, 2, 2), dtype=torch.uint8)
    place = torch.full((3,), OPERATIONS.index("Sharpness"))
    assert torch.equal(operate(images, place, torch.full((3,), 0.5)), images)
