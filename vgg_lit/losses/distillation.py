"""Distillation: the student learns the class probabilities of a trained network, the teacher.

    loss = Distillation("logs/runs/vgg16_bn/...", temperature=4.0, weight=0.9)
    loss.prepare(classes, preprocessing)  # loads the teacher
    loss(logits_BK, targets, x_BCHW)

Shape suffixes: B images per batch, C channels, H x W pixels, K classes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vgg_lit.checkpoints.folder import FOLDER, find_checkpoint
from vgg_lit.checkpoints.weights import fitting, net_weights, read_trained
from vgg_lit.errors import ConfigError, InputError
from vgg_lit.losses.by_class import CrossEntropy, Reduction
from vgg_lit.models.gemm_conv import lower_small_maps
from vgg_lit.system.files import sha256
from vgg_lit.targets import NETWORKS, instantiate


class Distillation(nn.Module):
    """(1 - weight) * cross-entropy + weight * T^2 * KL(teacher || student) of softmax(logits / T).

    T is the temperature; T^2 keeps the size of the gradient for any temperature. The teacher is in
    evaluation mode and receives the images of the student, augmented and mixed, in its own
    normalisation. It is no part of the student's checkpoint.

    Args:
        teacher: a run directory (its best checkpoint) or a checkpoint.
        teacher_sha256: digest of the checkpoint, which is then checked; None accepts any.
        temperature: divisor of the logits of both networks.
        weight: share of the teacher in the loss.
        label_smoothing: label smoothing of the cross-entropy.
        class_weights: weight of each class in the cross-entropy; None weights all equally.
        reduction: "mean" over images, or "sum" over the images of an optimiser step.

    Raises:
        ValueError: a value is out of its range, or there is no such teacher.

    Source: Hinton et al. 2015, section 2, https://arxiv.org/abs/1503.02531.
    """

    takes_images = True
    scale_C11: Tensor | None
    shift_C11: Tensor | None

    def __init__(
        self,
        teacher: str,
        teacher_sha256: str | None = None,
        temperature: float = 4.0,
        weight: float = 0.9,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature={temperature}: should be above 0")
        if not 0 <= weight <= 1:
            raise ValueError(f"weight={weight}: should be at least 0 and at most 1")
        self.origin = teacher
        self.checkpoint = find_teacher(teacher)
        self.digest = teacher_sha256
        self.temperature = temperature
        self.weight = weight
        self.reduction = reduction
        self.cross_entropy = CrossEntropy(label_smoothing, class_weights, reduction)
        self.teacher: nn.Module | None = None
        self.register_buffer("scale_C11", None, persistent=False)
        self.register_buffer("shift_C11", None, persistent=False)

    def prepare(self, classes: Sequence[str], preprocessing: Mapping[str, Any]) -> None:
        """Loads the teacher for the classes and the preprocessing of the student.

        Raises:
            InputError: the file is damaged or another one, or its classes or images differ.
        """
        try:
            self._prepare(classes, preprocessing)
        except InputError as error:
            raise ConfigError(f"loss.teacher={self.origin}: {error}") from error

    def _prepare(self, classes: Sequence[str], preprocessing: Mapping[str, Any]) -> None:
        if self.digest is not None and sha256(self.checkpoint) != self.digest:
            raise InputError(
                f"the SHA-256 of {self.checkpoint} is not loss.teacher_sha256={self.digest[:12]}...; "
                "set it to null for another teacher"
            )
        content = read_trained(self.checkpoint)
        hyperparameters = content["hyper_parameters"]
        _check_classes(tuple(hyperparameters.get("classes") or ()), tuple(classes))
        theirs = hyperparameters.get("preprocessing") or {}
        if theirs and preprocessing:
            self._set_normalisation(theirs, preprocessing)
        with torch.random.fork_rng(devices=[]), fitting(self.checkpoint):
            net: nn.Module = instantiate(
                hyperparameters["model"], key="loss.teacher", prefixes=NETWORKS
            )
            net.load_state_dict(net_weights(content["state_dict"]))
        lower_small_maps(net)
        self.teacher = net.to(memory_format=torch.channels_last).requires_grad_(False).eval()

    def _set_normalisation(self, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
        """Converts the student's normalisation to the teacher's, one scale and shift per channel."""
        for name in ("in_channels", "image_size"):
            if theirs[name] != ours[name]:
                raise InputError(
                    f"the teacher has {name}={theirs[name]}, the student {ours[name]}; set "
                    f"data.{name}={theirs[name]}, or choose another teacher"
                )
        their_mean, their_std = _statistics(theirs)
        our_mean, our_std = _statistics(ours)
        if not (torch.equal(their_mean, our_mean) and torch.equal(their_std, our_std)):
            self.scale_C11 = (our_std / their_std).float()
            self.shift_C11 = ((our_mean - their_mean) / their_std).float()

    def forward(self, logits_BK: Tensor, targets: Tensor, x_BCHW: Tensor) -> Tensor:
        """Returns the loss of a batch."""
        loss = self.cross_entropy(logits_BK, targets)
        log_p_BK, log_q_BK = (
            (logits / self.temperature).log_softmax(dim=1)
            for logits in (logits_BK, self.teacher_logits(x_BCHW))
        )
        losses_BK = F.kl_div(log_p_BK, log_q_BK, reduction="none", log_target=True)
        soft = self.cross_entropy.reduced(losses_BK.sum(dim=1)) * self.temperature**2
        return (1 - self.weight) * loss + self.weight * soft

    @torch.no_grad()
    def teacher_logits(self, x_BCHW: Tensor) -> Tensor:
        """Returns the float32 logits (B, K) of the teacher for the input of the student."""
        assert self.teacher is not None, "`prepare` loads the teacher"
        if self.scale_C11 is not None and self.shift_C11 is not None:
            x_BCHW = torch.addcmul(self.shift_C11, x_BCHW, self.scale_C11)
        logits_BK: Tensor = self.teacher(x_BCHW.float().to(memory_format=torch.channels_last))
        return logits_BK.float()


def _statistics(preprocessing: Mapping[str, Any]) -> list[Tensor]:
    """Returns mean and standard deviation (C, 1, 1) of the normalisation."""
    values = [preprocessing[name] for name in ("mean", "std")]
    return [torch.tensor(value, dtype=torch.float64).view(-1, 1, 1) for value in values]


def find_teacher(teacher: str) -> Path:
    """Returns the checkpoint of a run directory, or the checkpoint itself.

    Raises:
        InputError: there is none.
    """
    path = Path(teacher)
    if (path / FOLDER).is_dir():
        return find_checkpoint(path / FOLDER)
    if path.is_file():
        return path
    raise InputError(
        f"teacher={teacher}: there is no such run or checkpoint; if it has moved, set its new place"
    )


def with_teacher_digest(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the config of a loss with the digest of its teacher, if it has one without a digest."""
    if spec.get("teacher") is None or spec.get("teacher_sha256", "") is not None:
        return dict(spec)
    return {**spec, "teacher_sha256": sha256(find_teacher(spec["teacher"]))}


def _check_classes(theirs: tuple[str, ...], ours: tuple[str, ...]) -> None:
    if theirs == ours:
        return
    if len(theirs) != len(ours):
        raise InputError(f"the teacher has {len(theirs)} classes, the data have {len(ours)}")
    number, pair = next(
        (i, p) for i, p in enumerate(zip(theirs, ours, strict=True)) if p[0] != p[1]
    )
    raise InputError(
        f"class {number} is {pair[0]} of the teacher and {pair[1]} of the data; names and order must "
        "be equal"
    )
