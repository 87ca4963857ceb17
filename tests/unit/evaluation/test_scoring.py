"""Averages of class posteriors, compared with explicit averages."""

import math

import pytest
import torch
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_accuracy

from vgg_lit.classifier import Classifier
from vgg_lit.data.orders import PADDING
from vgg_lit.data.preprocessing import Preprocessing
from vgg_lit.errors import InputError
from vgg_lit.evaluation.scoring import Member, Row, Scores, log_mean, rows_of, score
from vgg_lit.evaluation.views import Views
from vgg_lit.models.dense import DenseVGG

CLASSES = tuple("abcdefg")


def classifier(seed=0, image_size=32, head="cifar"):
    return Classifier(
        model={
            "_target_": "vgg_lit.models.build",
            "variant": [[4], [6], [8]],
            "batch_norm": True,
            "num_classes": len(CLASSES),
            "in_channels": 1,
            "image_size": image_size,
            "head": head,
            "width": 1.0,
        },
        classes=CLASSES,
        preprocessing=Preprocessing(1, 28, image_size, (0.25 + seed / 8,), (0.25,)).to_dict(),
        seed=seed,
    ).eval()


def member(net=None, **options):
    return Member(net or classifier(), source_size=28, accelerator="cpu", **options)


def images(count=6):
    draws = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 1, 28, 28), dtype=torch.uint8, generator=draws)


def prepared(net, images_BCHW, side):
    """The documented preprocessing: padded or resized to the network, rescaled, normalised."""
    prepare = Preprocessing.from_dict(net.preprocessing)
    padded = prepare.pad(images_BCHW).float()
    if side != padded.shape[-1]:
        padded = F.interpolate(padded, (side, side), mode="bilinear", antialias=True)
    return prepare.normalize(padded)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def assert_posterior(log_posterior, expected):
    torch.testing.assert_close(log_posterior.exp(), expected, rtol=1e-5, atol=1e-6)
    assert expected.std(0).max() > 1e-4  # the images differ


def test_the_single_view_is_the_log_softmax_of_the_classifier():
    net = classifier()
    expected = net(prepared(net, images(), 32)).log_softmax(1)
    assert torch.equal(member(net).log_posterior(images(), Views()), expected)


def test_flip_averages_the_softmax_of_the_image_and_its_mirror_image():
    net = classifier()
    x = prepared(net, images(), 32)
    expected = (net(x).softmax(1) + net(x.flip(-1)).softmax(1)) / 2
    assert_posterior(member(net).log_posterior(images(), Views(flip=True)), expected)


def test_multi_crop_is_the_mean_of_the_softmax_of_explicit_crops_over_all_scales():
    net = classifier()
    crops = []
    for side, offsets in ((36, (0, 1, 2, 3, 4)), (40, (0, 2, 4, 6, 8))):
        x = prepared(net, images(), side)
        crops += [x[..., t : t + 32, left : left + 32] for t in offsets for left in offsets]
    crops += [crop.flip(-1) for crop in crops]
    assert len(crops) == 100
    expected = torch.stack([net(crop).softmax(1) for crop in crops]).mean(0)
    views = Views(grid=5, scales=(36, 40), flip=True)
    assert_posterior(member(net).log_posterior(images(), views), expected)


def test_dense_averages_scores_in_an_image_and_posteriors_over_scales():
    net = classifier()
    sides = (32, 48, 64)
    dense = DenseVGG(net.net)
    expected = torch.stack([dense(prepared(net, images(), side)).softmax(1) for side in sides])
    found = member(net, has_dense=True).log_posterior(images(), Views(None, sides))
    assert_posterior(found, expected.mean(0))


def test_dense_at_the_image_size_of_the_network_is_the_single_view():
    both = member(has_dense=True)
    dense, single = (both.log_posterior(images(), views) for views in (Views(None), Views()))
    torch.testing.assert_close(dense, single, rtol=1e-5, atol=1e-5)


def test_a_network_other_than_a_vgg_has_no_dense_views():
    net = classifier()
    net.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32 * 32, 7))
    member(net).log_posterior(images(), Views())
    with pytest.raises(InputError, match="a Sequential has no fully connected layers"):
        member(net, has_dense=True)


def batches(labels, size=2):
    return list(
        zip(images(len(labels)).split(size), labels.split(size), labels.split(size), strict=True)
    )


def test_dense_and_crops_together_average_their_posteriors():
    labels = torch.tensor([0, 1, 2, 3, 4, 5])
    parts = Views(None, (40,)), Views(5, (40,), True)
    net = member(has_dense=True)
    posteriors = [net.log_posterior(images(), views).exp() for views in parts]
    expected = F.nll_loss(((posteriors[0] + posteriors[1]) / 2).log(), labels)
    (found,) = score([Row("", (0,), parts)], [net], batches(labels))
    assert found["loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_fusion_averages_posteriors_of_networks_with_different_inputs():
    labels = torch.tensor([0, 1, 2, 3, 4, 5])
    nets = [classifier(0, image_size=32), classifier(1, image_size=48)]
    posteriors = [
        net(prepared(net, images(), side)).softmax(1)
        for net, side in zip(nets, (32, 48), strict=True)
    ]
    expected = F.nll_loss(torch.stack(posteriors).mean(0).log(), labels)
    members = [member(net) for net in nets]
    (found,) = score([Row("", (0, 1), (Views(),))], members, batches(labels))
    assert found["loss"] == pytest.approx(expected.item(), rel=1e-5)
    alone = [F.nll_loss(posterior.log(), labels).item() for posterior in posteriors]
    assert min(abs(found["loss"] - loss) for loss in alone) > 1e-4


def test_fusing_a_network_with_itself_changes_nothing():
    labels = torch.tensor([0, 1, 2, 3, 4, 5])
    members = [member(), member()]
    rows = [Row("", (0,), (Views(),)), Row("", (0, 1), (Views(),))]
    alone, fused = score(rows, members, batches(labels))
    assert fused == pytest.approx(alone, rel=1e-6)
    log_posterior = members[0].log_posterior(images(), Views())
    torch.testing.assert_close(log_mean([log_posterior] * 2), log_posterior, rtol=0, atol=1e-6)


def test_scores_do_not_depend_on_the_batch_size():
    labels = torch.tensor([0, 1, 2, 3, 4, 5, 6])
    row = Row("", (0,), (Views(3, (34,)),))
    found = [score([row], [member()], batches(labels, size))[0] for size in (1, 3, 7)]
    assert found[1] == pytest.approx(found[0], rel=1e-5)
    assert found[2] == pytest.approx(found[0], rel=1e-5)


def test_padding_is_not_counted():
    labels = torch.tensor([0, 1, 2, 3])
    log_posterior = torch.randn(4, 7).log_softmax(1)
    plain, padded = Scores(), Scores()
    plain.update(log_posterior[:3], labels[:3])
    padded.update(log_posterior, torch.tensor([0, 1, 2, PADDING]))
    assert padded.compute() == plain.compute()


def test_accuracies_match_torchmetrics():
    draws = torch.Generator().manual_seed(0)
    log_posterior = torch.randn(200, 7, generator=draws).log_softmax(1)
    labels = torch.randint(0, 7, (200,), generator=draws)
    scores = Scores()
    for part, of_part in zip(log_posterior.split(64), labels.split(64), strict=True):
        scores.update(part, of_part)
    found = scores.compute()
    for k in range(1, 6):
        expected = multiclass_accuracy(log_posterior, labels, 7, average="micro", top_k=k)
        assert found[f"top{k}"] == expected
    assert found["acc"] == found["top1"]
    assert 0 < found["top1"] < found["top5"] < 1
    torch.testing.assert_close(found["loss"], F.nll_loss(log_posterior, labels))


def test_top_k_accuracy_is_1_from_k_classes_on():
    scores = Scores()
    scores.update(torch.tensor([[0.1, 0.2, 0.7]]).log(), torch.tensor([0]))
    found = [scores.compute()[f"top{k}"].item() for k in range(1, 6)]
    assert found == [0, 0, 1, 1, 1]


def test_ties_are_ranked_by_class_index():
    scores = Scores()
    scores.update(torch.full((3, 3), 1 / 3).log(), torch.tensor([0, 1, 2]))
    assert scores.compute()["top1"] == pytest.approx(1 / 3)
    assert scores.compute()["top2"] == pytest.approx(2 / 3)


def test_the_loss_of_an_impossible_class_is_finite():
    impossible = torch.tensor([[0.0, -400.0]]).log_softmax(1)  # e^-400 is 0 in float32
    assert log_mean([impossible, impossible])[0, 1] == pytest.approx(-400)
    one_sees_it = torch.tensor([[-400.0, 0.0]]).log_softmax(1)
    assert log_mean([impossible, one_sees_it])[0, 1] == pytest.approx(-math.log(2))


def test_rows_start_with_the_single_view_and_end_with_all_views():
    dense, crops = Views(None, (40,)), Views(5, (40,), True)
    single = Views()
    assert rows_of((single,), ["a"]) == [Row("a", (0,), (single,))]
    assert [row.views for row in rows_of((dense, crops), ["a"])] == [
        (single,),
        (dense,),
        (crops,),
        (dense, crops),
    ]
    fused = rows_of((dense,), ["a", "b"])
    assert [(row.network, row.members) for row in fused] == 2 * [
        ("a", (0,)),
        ("b", (1,)),
        ("fusion of 2", (0, 1)),
    ]
    assert [row.label for row in fused] == 3 * ["single view"] + 3 * ["dense at 40"]


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_posteriors_are_close_in_other_precisions(precision):
    views = Views(None, (40,))
    expected = member(has_dense=True).log_posterior(images(), views)
    found = member(precision=precision, has_dense=True).log_posterior(images(), views)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.exp(), expected.exp(), rtol=0, atol=0.02)
    if precision == "64-true":
        torch.testing.assert_close(found.exp(), expected.exp(), rtol=1e-4, atol=1e-6)
    else:
        assert not torch.equal(found, expected)
