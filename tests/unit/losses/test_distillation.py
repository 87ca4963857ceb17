"""Distillation: values, the teacher's mode and normalisation, and teachers that do not fit."""

import copy

import pytest
import torch
from torch.nn import functional as F

from vgg_lit.classifier import Classifier
from vgg_lit.config.checks import check_train, to_plain
from vgg_lit.data.orders import PADDING
from vgg_lit.errors import ConfigError
from vgg_lit.losses import Distillation, Objective
from vgg_lit.system.files import sha256

TARGET = "vgg_lit.losses.Distillation"


@pytest.fixture(scope="module")
def taught(tiny_run):
    """`taught(temperature=2.0)`: a loss whose teacher is a run, with the classes of that run."""
    content = torch.load(tiny_run.checkpoint(), weights_only=True)["hyper_parameters"]

    def taught(**options):
        loss = Distillation(str(tiny_run.path), **options)
        loss.prepare(content["classes"], content["preprocessing"])
        return loss

    return taught


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def reference(logits, teacher, targets, temperature, weight):
    """The loss by the sum over classes of q log(q / p), in float64."""
    p = (logits.double() / temperature).softmax(1)
    q = (teacher.double() / temperature).softmax(1)
    soft = temperature**2 * (q * (q.log() - p.log())).sum(1)
    if targets.ndim == 1:
        targets = F.one_hot(targets, logits.shape[1])
    hard = -(targets * logits.double().log_softmax(1)).sum(1)
    return (1 - weight) * hard + weight * soft


@pytest.mark.parametrize(
    ("temperature", "weight"), [(1.0, 1.0), (4.0, 0.9), (0.5, 0.3), (2.0, 0.0)]
)
@pytest.mark.parametrize("is_mixed", [False, True])
def test_loss_and_gradient_are_the_reference(temperature, weight, is_mixed, taught):
    x, logits = draws(6, 1, 32, 32), draws(6, 10, seed=1).requires_grad_()
    targets = draws(6, 10, seed=2).softmax(1) if is_mixed else torch.arange(6)
    loss = taught(temperature=temperature, weight=weight)
    expected = reference(logits, loss.teacher_logits(x), targets, temperature, weight).mean()
    found = loss(logits, targets, x)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    ours, theirs = (torch.autograd.grad(value, logits)[0] for value in (found, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_sum_smoothing_and_class_weights(taught):
    x, logits, labels = draws(6, 1, 32, 32), draws(6, 10, seed=1), torch.arange(6)
    weights = [float(i + 1) for i in range(10)]
    options = {"label_smoothing": 0.1, "class_weights": weights, "reduction": "sum"}
    loss = taught(temperature=2.0, weight=0.25, **options)
    soft = reference(logits, loss.teacher_logits(x), labels, 2.0, 1.0).sum()
    hard = F.cross_entropy(
        logits, labels, torch.tensor(weights), label_smoothing=0.1, reduction="sum"
    )
    torch.testing.assert_close(loss(logits, labels, x).double(), 0.75 * hard + 0.25 * soft)


def test_the_teacher_is_the_evaluated_network_of_the_run(taught, tiny_run):
    x = draws(6, 1, 32, 32)
    loss = taught()
    expected = tiny_run.load_classifier().eval()(x)
    state = torch.get_rng_state()
    found = loss.teacher_logits(x.requires_grad_())
    assert torch.equal(torch.get_rng_state(), state)
    assert not found.requires_grad
    torch.testing.assert_close(found, expected)
    assert not any(module.training for module in loss.teacher.modules())
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_the_teacher_has_its_own_normalisation(tiny_run):
    classifier = tiny_run.load_classifier()
    theirs = classifier.preprocessing
    ours = {**theirs, "mean": [0.7], "std": [0.3]}
    loss = Distillation(str(tiny_run.path))
    loss.prepare(classifier.classes, ours)
    pixels = torch.rand(6, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = classifier((pixels - theirs["mean"][0]) / theirs["std"][0])
    found = loss.teacher_logits((pixels - 0.7) / 0.3)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert not loss.state_dict().keys() & {"scale_C11", "shift_C11"}


def test_an_objective_is_shared_by_copies_and_not_saved(tiny_run):
    hparams = torch.load(tiny_run.checkpoint(), weights_only=True)["hyper_parameters"]
    spec = {"_target_": TARGET, "teacher": str(tiny_run.path)}
    classifier = Classifier(**{**hparams, "loss": spec})
    assert classifier.objective.takes_images
    assert copy.deepcopy(classifier).objective is classifier.objective
    assert all(name.startswith("net.") for name in classifier.state_dict())


def test_validation_reports_the_loss_without_the_padding(tiny_run):
    hparams = torch.load(tiny_run.checkpoint(), weights_only=True)["hyper_parameters"]
    classifier = Classifier(
        **{**hparams, "loss": {"_target_": TARGET, "teacher": str(tiny_run.path)}}
    )
    x_BCHW = torch.rand(6, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    logits_BK = torch.randn(6, 10, generator=torch.Generator().manual_seed(1))
    labels_B = torch.tensor([3, 0, 9, 1, PADDING, PADDING])
    expected = classifier.objective(logits_BK[:4], labels_B[:4], x_BCHW[:4])
    metrics = classifier.split_metrics
    for batch in (slice(0, 3), slice(3, 6)):
        metrics.add(logits_BK[batch], labels_B[batch], x_BCHW[batch])
    found = metrics.compute()
    torch.testing.assert_close(found["objective_loss"], expected)
    assert not torch.isclose(expected, F.cross_entropy(logits_BK[:4], labels_B[:4]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["a", "b"]}, "the teacher has 10 classes, the data have 2"),
        (
            {"classes": list("abcdefghij")},
            "class 0 is T-shirt/top of the teacher and a of the data",
        ),
        (
            {"image_size": 34},
            "the teacher has image_size=32, the student 34; set data.image_size=32",
        ),
        ({"in_channels": 3}, "the teacher has in_channels=1, the student 3"),
        ({"teacher_sha256": "0" * 64}, "is not loss.teacher_sha256=000000000000..."),
    ],
)
def test_a_teacher_that_does_not_fit_is_one_line(change, message, tiny_run):
    hparams = torch.load(tiny_run.checkpoint(), weights_only=True)["hyper_parameters"]
    classes = change.pop("classes", hparams["classes"])
    loss = Distillation(str(tiny_run.path), change.pop("teacher_sha256", None))
    with pytest.raises(ConfigError) as refused:
        loss.prepare(classes, {**hparams["preprocessing"], **change})
    assert str(refused.value).startswith(f"loss.teacher={tiny_run.path}: ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_digest_of_the_checkpoint_is_accepted(taught, tiny_run):
    taught(teacher_sha256=sha256(tiny_run.checkpoint()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teacher": "nowhere"}, "loss.teacher=nowhere: there is no such run or checkpoint"),
        ({"temperature": 0.0}, "loss.temperature=0.0: should be above 0"),
        ({"weight": 1.5}, "loss.weight=1.5: should be at least 0 and at most 1"),
    ],
)
def test_a_wrong_setting_is_named(options, message, tiny_run):
    spec = {"_target_": TARGET, "teacher": str(tiny_run.path), **options}
    with pytest.raises(ConfigError, match=message):
        Objective(spec, 10)


def test_cached_features_have_no_images(tiny_run, compose):
    loss = ("loss=distillation", f"loss.teacher={tiny_run.path}")
    cached = ("cache_features=true", "freeze=[block1]", "augment=none")
    with pytest.raises(
        ConfigError, match=r"cache_features: loss\._target_=.*Distillation takes im"
    ):
        check_train(to_plain(compose(*loss, *cached)))
