"""The LightningModule: a network, its loss, its metrics and its optimiser.

    classifier = Classifier.load_from_checkpoint("logs/runs/.../checkpoints/best.ckpt")
    logits = classifier(x_BCHW)

Shape suffixes: B images per batch, C channels, H x W pixels, K classes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from vgg_lit.checkpoints.storage import SCHEMA, read_checkpoint
from vgg_lit.checkpoints.weights import check_plain, fitting, read_trained
from vgg_lit.data.orders import PADDING
from vgg_lit.errors import ConfigError
from vgg_lit.losses import Objective
from vgg_lit.metrics import ACCURACIES, build_metrics, count_batch
from vgg_lit.models.batch_counters import Norm, counted_together, counting_norms
from vgg_lit.models.data_arguments import NAMES
from vgg_lit.models.freezing import rest_frozen_norms
from vgg_lit.models.gemm_conv import lower_small_maps
from vgg_lit.models.parameter_casts import Place, cast_parameters, cast_together
from vgg_lit.models.vgg import VGG
from vgg_lit.optim.optimized_module import OptimizedModule
from vgg_lit.split_metrics import SplitMetrics
from vgg_lit.system.hardware import seed_device
from vgg_lit.system.lightning_internals import restore_loader_position
from vgg_lit.targets import instantiate
from vgg_lit.version import __version__

Batch = tuple[Tensor, Tensor, Tensor]
"""Normalised images (B, C, H, W), labels (B,) and sample ids (B,).

Labels and ids are `PADDING` in padded positions. In training with mixed images, the labels are class
probabilities (B, K).
"""

CROSS_ENTROPY = "vgg_lit.losses.CrossEntropy"


class Classifier(OptimizedModule):
    """Trains and evaluates an image classifier.

    Every argument is a plain Python value and is stored in the checkpoint, so that
    `load_from_checkpoint(path)` needs nothing else.

    Args:
        model: `_target_` and arguments of the network, as in `conf/model`.
        optimizer: `_target_` and arguments of the optimiser; None if the net is not trained.
        scheduler: `_target_` and arguments of the schedule, a function of `vgg_lit.optim`.
        classes: class names by label.
        preprocessing: conversion of images to the net's input, from `Preprocessing.to_dict()`.
        loss: `_target_` and arguments of the training loss, as in `conf/loss`; None is cross-entropy.
        metrics: more metrics of validation and test by name, as in `conf/metrics`.
        label_smoothing: label smoothing of the cross-entropy if `loss` is None, as in checkpoints of
            version 0.1.0.
        seed: seed of the initial weights and, with epoch, batch and rank, of each step's dropout.
        compile: train the net with `torch.compile`; the keys in checkpoints do not change. A mode,
            such as "reduce-overhead", uses CUDA graphs on a CUDA GPU; elsewhere it equals True.
        small_map_gemm: compute 3x3 convolutions of small maps as matrix products; `auto`: where that
            was measured to be faster.

    Raises:
        ConfigError: the network cannot be built from `model`.
    """

    def __init__(
        self,
        model: Mapping[str, Any],
        optimizer: Mapping[str, Any] | None = None,
        scheduler: Mapping[str, Any] | None = None,
        classes: Sequence[str] = (),
        preprocessing: Mapping[str, Any] | None = None,
        loss: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Mapping[str, Any] | None] | None = None,
        label_smoothing: float = 0.0,
        seed: int = 0,
        compile: bool | str = False,
        small_map_gemm: Literal["auto"] | bool = "auto",
    ) -> None:
        super().__init__()
        loss = dict(loss or {"_target_": CROSS_ENTROPY, "label_smoothing": label_smoothing})
        self.save_hyperparameters(ignore="label_smoothing", logger=False)
        check_plain(self.hparams)
        self.classes = tuple(classes)
        self.preprocessing = dict(preprocessing or {})
        self.seed = seed
        self.image_ranges: dict[str, Any] | None = None  # of training images; None if not measured
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_hash(seed, "weights"))
            self.net = instantiate(model, key="model")
        self.net.to(memory_format=torch.channels_last)
        lower_small_maps(self.net, small_map_gemm)

        self.num_classes = len(self.classes) or _num_classes(model)
        self.metrics = build_metrics(self.num_classes)
        self._are_metrics_logged = False
        self._norms: list[Norm] = []  # set if their batches are counted together
        self._casts: list[Place] = []  # set if they are cast together
        self._has_cuda_graphs = False

    @cached_property
    def objective(self) -> Objective:
        """The training loss. Built when first used: a loaded classifier needs neither class nor teacher."""
        objective = Objective(self.hparams["loss"], self.num_classes)
        objective.prepare(self.classes, self.preprocessing)
        return objective

    @cached_property
    def split_metrics(self) -> SplitMetrics:
        """The metrics of the `metrics` group and, unless it is cross-entropy, of the training loss."""
        specs = self.hparams["metrics"] or {}
        return SplitMetrics.build(specs, self.num_classes, self.classes, self.objective)

    def setup(self, stage: str) -> None:
        """Compiles the net if configured; only for training, not each time it is loaded."""
        mode = self.hparams["compile"]
        if stage != "fit" or not mode:
            return
        # the net is not on the device yet
        device = self.device if self._trainer is None else self.trainer.strategy.root_device
        self._has_cuda_graphs = isinstance(mode, str) and device.type == "cuda"
        if self._has_cuda_graphs:
            self.net.compile(mode=mode)
        else:
            self.net.compile()

    def on_train_start(self) -> None:
        """Restores the data loader's position in a resumed run, and fixes finished layers."""
        restore_loader_position(self.trainer)
        self.fix_finished_layers()  # a run resumed within an epoch does not start that epoch
        # compiled code counts in the kernels of the layers
        self._norms = [] if self.hparams["compile"] else counting_norms(self.net)
        self._casts = cast_parameters(self.net) if self._casts_together() else []

    def train(self, mode: bool = True) -> "Classifier":
        """Sets the mode of all modules except frozen batch norm, which stays in evaluation mode."""
        super().train(mode)
        rest_frozen_norms(self)
        return self

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits (B, K) of normalised images."""
        return self.net(x_BCHW.to(self.dtype, memory_format=torch.channels_last))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns the loss and updates the metrics, without waiting for the device."""
        x_BCHW, targets, _ = batch  # labels (B,) or class probabilities (B, K)
        draw = _hash(self.seed, "dropout", self.current_epoch, batch_idx, self.global_rank)
        seed_device(draw, self.device)
        self._begin_step()
        with counted_together(self._norms), cast_together(self._casts, torch.bfloat16):
            logits_BK = self(x_BCHW).float()
        loss = self.objective(logits_BK, targets, x_BCHW)
        labels_B = targets if targets.ndim == 1 else targets.argmax(dim=1)
        mean_loss = self.objective.mean(loss.detach(), len(targets))
        self._count("train", logits_BK.detach(), labels_B, mean_loss)
        if self.objective.is_sum:  # DDP and accumulation take the mean of what is summed here
            return loss * self.trainer.world_size * self.trainer.accumulate_grad_batches
        return loss

    def _casts_together(self) -> bool:
        """Returns True if casting all parameters at once saves launches and changes nothing else.

        DDP sends each gradient while the backward pass continues; checkpointed blocks run again in it.
        """
        is_bf16_on_gpu = self.device.type == "cuda" and self.trainer.precision == "bf16-mixed"
        is_alone = self.trainer.world_size == 1 and not self.hparams["compile"]
        is_plain = isinstance(self.net, VGG) and not self.net.checkpoint_blocks
        return is_bf16_on_gpu and is_alone and is_plain

    def _begin_step(self) -> None:
        """Lets the CUDA graphs of a compiled net reuse the memory of the previous step."""
        if self._has_cuda_graphs:
            torch.compiler.cudagraph_mark_step_begin()

    def on_after_backward(self) -> None:
        """Copies gradients to be accumulated: the next step reuses the memory of CUDA graphs."""
        if self._has_cuda_graphs and self.trainer.accumulate_grad_batches > 1:
            for parameter in self.net.parameters():
                if parameter.grad is not None:
                    parameter.grad = parameter.grad.clone()

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Updates cross-entropy (without label smoothing) and metrics; returns the logits (B, K).

        Callbacks receive the logits as `outputs` of `on_validation_batch_end`.
        """
        return self._evaluate("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Updates cross-entropy, accuracies up to top-5 and metrics; returns the logits (B, K)."""
        return self._evaluate("test", batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Class probabilities (B, K) in float32."""
        return self(batch[0]).float().softmax(dim=1)

    def _evaluate(self, stage: str, batch: Batch) -> Tensor:
        x_BCHW, labels_B, _ = batch
        self._begin_step()
        logits_BK = self(x_BCHW).float()
        losses_B = F.cross_entropy(logits_BK, labels_B, ignore_index=PADDING, reduction="none")
        self._count(stage, logits_BK, labels_B, losses_B)
        if self._has_cuda_graphs:
            logits_BK = logits_BK.clone()  # the next step reuses its memory
        self.split_metrics.add(logits_BK, labels_B, x_BCHW)
        return logits_BK

    def on_validation_epoch_end(self) -> None:
        """Logs the metrics that are computed from the whole split."""
        self._log_split("val")

    def on_test_epoch_end(self) -> None:
        """Logs the metrics that are computed from the whole split."""
        self._log_split("test")

    def _log_split(self, stage: str) -> None:
        for name, value in self.split_metrics.compute().items():
            self.log(f"{stage}/{name}", value, sync_dist=True)

    def _count(self, stage: str, logits_BK: Tensor, labels_B: Tensor, losses: Tensor) -> None:
        """Adds a batch to a stage's metrics; `losses` is (B,), or the mean over a full batch."""
        count_batch(self.metrics, stage, logits_BK, labels_B, losses)
        if self._are_metrics_logged:
            return
        self._are_metrics_logged = True
        for name in ("loss", *ACCURACIES[stage]):
            metric = cast(Metric, self.metrics[f"{stage}/{name}"])
            self.log(f"{stage}/{name}", metric, on_step=False, on_epoch=True)

    def _begin_epoch(self) -> None:
        """Makes the next batch log the metrics: once per epoch; they are computed at its end."""
        self._are_metrics_logged = False

    on_validation_epoch_start = on_test_epoch_start = _begin_epoch

    def on_train_epoch_start(self) -> None:
        """Begins the epoch; layers whose epochs are over keep no gradient."""
        self._begin_epoch()
        self.fix_finished_layers()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Stores the schema version of the checkpoint and the ranges of the training images."""
        checkpoint["vgg_lit"] = {"schema": SCHEMA, "version": __version__}
        if self.image_ranges is not None:
            checkpoint["vgg_lit"]["image_ranges"] = self.image_ranges

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: str | PathLike[str], map_location: Any = "cpu"
    ) -> "Classifier":
        """Loads the classifier of a checkpoint in evaluation mode, without running code from the file.

        Raises:
            InputError: the file is missing, damaged, or its weights do not fit its network.
        """
        checkpoint = read_trained(checkpoint_path, map_location)
        with fitting(checkpoint_path):
            classifier = cls(**checkpoint["hyper_parameters"])
            classifier.load_state_dict(checkpoint["state_dict"])
        classifier.image_ranges = checkpoint["vgg_lit"].get("image_ranges")
        return classifier.eval()

    def load_weights(self, checkpoint_path: str | PathLike[str]) -> None:
        """Loads the weights of a checkpoint into this classifier.

        Raises:
            InputError: the file is missing, damaged, or its weights do not fit this network.
        """
        checkpoint = read_checkpoint(checkpoint_path)
        with fitting(checkpoint_path):
            self.load_state_dict(checkpoint["state_dict"])


def _num_classes(model: Mapping[str, Any]) -> int:
    for name in NAMES["num_classes"]:
        if model.get(name) is not None:
            return int(model[name])
    raise ConfigError("classes: are needed, since the network takes no number of classes")


def _hash(*parts: object) -> int:
    """Returns a 63-bit seed computed from `parts`, the same on every machine."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
