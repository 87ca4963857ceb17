import numpy as np
import pytest
import torch

from vgg_lit.data.draws import Draws
from vgg_lit.data.mixing import CutMix, MixUp, beta
from vgg_lit.errors import InputError

MIXINGS = [MixUp(), MixUp(0.2), CutMix(), CutMix(0.5)]


def batch(count=20, classes=10):
    """Returns images, each with a different level that identifies its pixels, and their labels."""
    levels = torch.arange(count, dtype=torch.uint8) * (255 // count)
    return levels.view(-1, 1, 1, 1).expand(-1, 3, 8, 10).contiguous(), torch.arange(count) % classes


@pytest.mark.parametrize("mixing", MIXINGS)
class TestEveryMixing:
    def test_result_does_not_depend_on_positions_in_the_batch(self, mixing):
        images, labels = batch()
        ids = torch.arange(20) * 3
        mixed, targets = mixing(images, labels, Draws(0, 1, ids), 10)
        order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
        again = mixing(images[order], labels[order], Draws(0, 1, ids[order]), 10)
        assert torch.equal(again[0], mixed[order])
        assert torch.equal(again[1], targets[order])

    def test_shares_are_the_same_in_another_batch(self, mixing):
        images, labels = batch(classes=20)
        whole = mixing(images, labels, Draws(0, 1, torch.arange(20)), 20)[1]
        half = mixing(images[:10], labels[:10], Draws(0, 1, torch.arange(10)), 20)[1]
        own = torch.arange(10)
        assert torch.equal(half[own, own], whole[own, own])

    def test_result_depends_on_epoch_and_seed(self, mixing):
        images, labels = batch()
        ids = torch.arange(20)
        first = mixing(images, labels, Draws(0, 0, ids), 10)
        for other in (Draws(0, 1, ids), Draws(1, 0, ids)):
            mixed, targets = mixing(images, labels, other, 10)
            assert not torch.equal(mixed, first[0])
            assert not torch.equal(targets, first[1])

    def test_shape_and_targets(self, mixing):
        images, labels = batch()
        before = images.clone()
        mixed, targets = mixing(images, labels, Draws(0, 0, torch.arange(20)), 10)
        assert mixed.shape == images.shape
        assert mixed.dtype == (torch.float32 if isinstance(mixing, MixUp) else torch.uint8)
        assert targets.shape == (20, 10)
        assert targets.dtype == torch.float32
        assert targets.min() >= 0
        torch.testing.assert_close(targets.sum(1), torch.ones(20))
        assert torch.equal(images, before)

    def test_targets_are_the_shares_of_the_images(self, mixing):
        """Every image has a different class and level, so its pixels determine its targets."""
        images, labels = batch(classes=20)
        mixed, targets = mixing(images, labels, Draws(0, 0, torch.arange(20)), 20)
        expected = targets @ images[:, 0, 0, 0].float()
        torch.testing.assert_close(mixed.float().mean((1, 2, 3)), expected, rtol=0, atol=1e-3)

    def test_a_batch_of_one_sample_is_unchanged(self, mixing):
        images, labels = batch(count=1)
        mixed, targets = mixing(images + 9, labels, Draws(0, 0, torch.arange(1)), 10)
        torch.testing.assert_close(mixed.float(), images.float() + 9)
        assert targets.tolist() == [[1.0] + [0.0] * 9]


def test_partners_are_other_samples_each_used_once():
    images, labels = batch(50, 50)
    partners = []
    for epoch in range(40):
        targets = MixUp()(images, labels, Draws(0, epoch, torch.arange(50)), 50)[1]
        others = targets.clone().fill_diagonal_(-1).argmax(1)
        assert torch.equal(others.sort().values, torch.arange(50))
        assert (others != torch.arange(50)).all()
        partners.append(others)
    seen = torch.bincount(torch.stack(partners)[:, 0], minlength=50)
    assert seen.max() <= 6  # of 40 epochs


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.5, 1.0, 1.5, 4.0])
def test_shares_are_beta_distributed(alpha):
    uniform = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    found = beta(alpha, uniform.float()).double()
    assert (found.diff() >= 0).all()
    torch.testing.assert_close(found, 1 - found.flip(0), atol=2e-5, rtol=0)
    assert found.mean().item() == pytest.approx(0.5, abs=1e-4)
    assert found.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=1e-3)
    # Kolmogorov-Smirnov over the lower half only: float32 is too coarse close to 1
    drawn = np.sort(np.random.default_rng(0).beta(alpha, alpha, 100_000))
    below = np.searchsorted(drawn, found[:50_000].numpy()) / 100_000
    assert np.abs(below - uniform[:50_000].numpy()).max() * 100_000**0.5 < 1.95


def test_mixup_shares_are_beta_distributed():
    images = torch.zeros(20_000, 1, 1, 1, dtype=torch.uint8)
    labels = torch.arange(20_000) % 2
    targets = MixUp(0.4)(images, labels, Draws(0, 0, torch.arange(20_000)), 2)[1]
    own = targets.gather(1, labels[:, None]).double()
    own = own[own < 1]  # keeps samples whose partner has the other class
    assert own.mean().item() == pytest.approx(0.5, abs=0.015)
    assert own.var().item() == pytest.approx(1 / (4 * 1.8), rel=0.05)


def test_cutmix_rectangles_are_anywhere_and_have_the_images_aspect_ratio():
    count = 20_000
    is_odd = torch.arange(count) % 2
    images = (255 * is_odd).byte().view(-1, 1, 1, 1).expand(-1, 1, 16, 32).contiguous()
    mixed, _ = CutMix()(images, is_odd, Draws(0, 0, torch.arange(count)), 2)
    pasted = (mixed != images)[:, 0]
    pasted = pasted[pasted.flatten(1).any(1)]
    frequency = pasted.double().mean(0)
    assert frequency.min() > 0
    # symmetric, and most frequent in the middle
    torch.testing.assert_close(frequency, frequency.flip(0, 1), atol=0.05, rtol=0)
    assert frequency[8, 16] > 2 * frequency[0, 0]
    rows, columns = pasted.any(2).sum(1), pasted.any(1).sum(1)
    assert torch.equal(pasted.sum((1, 2)), rows * columns)
    whole = (rows < 16) & (columns < 32) & ~pasted[:, 0].any(1) & ~pasted[:, -1].any(1)
    whole &= ~pasted[:, :, 0].any(1) & ~pasted[:, :, -1].any(1)
    assert (columns[whole] - 2 * rows[whole]).abs().max() <= 1


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_an_invalid_alpha_is_refused(kind, alpha):
    with pytest.raises(InputError, match=f"alpha={alpha}: must be above 0"):
        kind(alpha)
