"""Norms, histograms, figures and embeddings of a training for TensorBoard.

python -m vgg_lit.train 'callbacks=[default,tensorboard]' callbacks.tensorboard.histograms=1
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import lightning.pytorch as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle
from torch.utils.tensorboard import SummaryWriter

from vgg_lit.callbacks import event_files
from vgg_lit.callbacks.validation_outcome import Gather, ValidationOutcome
from vgg_lit.data.batches import BatchLoader
from vgg_lit.data.preprocessing import Preprocessing
from vgg_lit.metrics import epoch_metrics

OF_VALIDATION = {"confusion", "worst", "curves"}


class TensorBoard(L.Callback):
    """Writes norms, histograms and figures of a training into its event files.

    Intervals are in epochs; 0 means never. Every enabled kind is also written at the end of training. No
    step waits for the device: values measured in a step are fetched after the epoch. Due writes are
    postponed while writing has taken more than `max_share` of the training time.

    Args:
        norms: steps between two measurements of the norms of weights and gradients; 0: never.
        histograms: interval of histograms of weights, and of gradients of an epoch's last step.
        filters: interval of the filters of the first convolution.
        confusion: interval of the confusion matrix of the validation images.
        worst: interval of the most confident wrong predictions on the validation images.
        curves: interval of precision-recall curves of each class on the validation images.
        embeddings: interval of features of validation images, for the projector.
        batch: True to write the first training batch, as fed to the network.
        graph: True to write the graph of the network.
        images: largest number of images in a figure.
        embedded: largest number of images in the projector.
        max_share: largest share of the training time spent on writing, in 0..1; 1: no limit.
    """

    def __init__(
        self,
        norms: int = 50,
        histograms: int = 10,
        filters: int = 10,
        confusion: int = 10,
        worst: int = 10,
        curves: int = 10,
        embeddings: int = 50,
        batch: bool = True,
        graph: bool = True,
        images: int = 16,
        embedded: int = 256,
        max_share: float = 0.02,
    ) -> None:
        self.intervals = {
            "histograms": histograms,
            "filters": filters,
            "confusion": confusion,
            "worst": worst,
            "curves": curves,
            "embeddings": embeddings,
        }
        for name, value in {"norms": norms, **self.intervals}.items():
            if value < 0:
                raise ValueError(f"{name}={value}: should be 0 or more")
        if images < 1 or embedded < 4:
            raise ValueError(f"images={images}, embedded={embedded}: should be at least 1 and 4")
        if not 0 < max_share <= 1:
            raise ValueError(f"max_share={max_share}: should be above 0 and at most 1")
        self.norms = norms
        self.batch = batch
        self.graph = graph
        self.images = images
        self.embedded = embedded
        self.max_share = max_share
        self.seconds = 0.0  # spent on writing
        self._started = 0.0
        self._writers: list[SummaryWriter] = []
        self._norms: list[tuple[str, int, list[str], Tensor]] = []  # kind, step, layers, values
        self._has_begun = False
        self._gradients: dict[str, Tensor] = {}  # of an epoch's last step
        self._seen: tuple[Tensor, Tensor] | None = None  # images and targets of the first batch
        self._waiting: set[str] = set()  # due, not yet written
        self._written_at: dict[str, int] = {}  # step
        self._outcome = ValidationOutcome(images)
        self._logits: list[Tensor] = []
        self._hook: RemovableHandle | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock and finds the writers."""
        self._started = time.perf_counter()
        loggers = [one for one in trainer.loggers if isinstance(one, TensorBoardLogger)]
        if not loggers and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            _say("callbacks.tensorboard: nothing is written; requires logger=tensorboard")
        self._writers = [logger.experiment for logger in loggers] if trainer.is_global_zero else []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keeps the first batch."""
        if not self._has_begun and self._writers:
            self._has_begun = True
            self._seen = batch[0][: self.images].clone(), batch[1][: self.images]

    @torch.no_grad()
    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Measures norms on the device before clipping; keeps the gradients of an epoch's last step."""
        step, epoch = trainer.global_step, trainer.current_epoch + 1
        every = self.intervals["histograms"]
        has_norms = self.norms and step % self.norms == 0
        has_histograms = every and (epoch % every == 0 or epoch == trainer.max_epochs)
        keeps_gradients = has_histograms and trainer.is_last_batch
        if not self._writers or not (has_norms or keeps_gradients):
            return
        layers = dict(event_files.named_weights(_net(pl_module)))
        gradients = {name: w.grad for name, w in layers.items() if w.grad is not None}
        if has_norms:
            for kind, tensors in (("weight_gradient_norm", gradients), ("weight_norm", layers)):
                norms = torch._foreach_norm(list(tensors.values()))
                self._norms.append((kind, step, list(tensors), torch.stack(norms)))
        if keeps_gradients:  # validation frees the gradients
            self._gradients = {name: gradient.clone() for name, gradient in gradients.items()}

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts to keep the logits of the network."""
        if trainer.sanity_checking or not any(self.intervals[name] for name in OF_VALIDATION):
            return
        self._outcome = ValidationOutcome(self.images)
        self._hook = pl_module.register_forward_hook(self._keep_logits)

    def _keep_logits(self, module: nn.Module, arguments: Any, output: Any) -> None:
        # with several processes the whole step is also a call, without output
        if isinstance(output, Tensor):
            self._logits.append(output)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the predictions of a batch."""
        if self._hook and self._logits:
            self._outcome.add(self._logits[-1], batch[1], batch[0])
        self._logits.clear()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Removes the hook."""
        if self._hook:
            self._hook.remove()
            self._hook = None

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes everything due, unless writing has already taken too long."""
        epoch = trainer.current_epoch + 1
        with self._timed():
            self._write_norms()
            self._write_once(pl_module)
        self._waiting |= {name for name, n in self.intervals.items() if n and epoch % n == 0}
        has_time = self.seconds <= self.max_share * (time.perf_counter() - self._started)
        # all processes must run collectives in the same order; rank 0 has already reduced the metrics of
        # the epoch to print them, so the other ranks do it now
        epoch_metrics(trainer)
        has_time = trainer.strategy.broadcast(has_time)
        if self._waiting and has_time:
            self._write(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the final state."""
        wanted = {name for name, every in self.intervals.items() if every}
        self._waiting = {n for n in wanted if self._written_at.get(n) != trainer.global_step}
        self._write(trainer, pl_module)
        for writer in self._writers:
            writer.flush()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start

    def _write_norms(self) -> None:
        for kind, step, names, norms in self._norms:
            for writer in self._writers:
                event_files.write_norms(
                    writer, kind, dict(zip(names, norms.tolist(), strict=True)), step
                )
        self._norms.clear()

    def _write_once(self, pl_module: L.LightningModule) -> None:
        """Writes the first batch and the graph, after the first epoch so as not to delay training."""
        if self._seen is None:
            return
        x_BCHW, targets = self._seen
        self._seen = None
        preprocessing = _preprocessing(pl_module, x_BCHW)
        for writer in self._writers:
            if self.batch and preprocessing:
                pictures_BCHW = preprocessing.denormalize(x_BCHW)
                event_files.write_batch(writer, pictures_BCHW, targets, _classes(pl_module))
            if self.graph:
                event_files.write_graph(writer, _net(pl_module), x_BCHW[:1])

    def _write(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes everything that is waiting."""
        with self._timed():
            net, classes, step = _net(pl_module), _classes(pl_module), trainer.global_step
            if self._outcome and self._waiting & OF_VALIDATION:
                # gathered by all processes, written by one
                gather = cast(Gather, pl_module.all_gather)
                found, mistakes = self._outcome.predictions(gather), self._outcome.mistakes(gather)
                for writer in self._writers:
                    if "confusion" in self._waiting:
                        event_files.write_confusion(writer, found, classes, step)
                    if "curves" in self._waiting:
                        event_files.write_curves(writer, found, classes, step)
                    preprocessing = _preprocessing(pl_module, mistakes.x_NCHW)
                    if "worst" in self._waiting and preprocessing:
                        pictures_NCHW = preprocessing.denormalize(mistakes.x_NCHW)
                        event_files.write_mistakes(writer, mistakes, pictures_NCHW, classes, step)
            for writer in self._writers:
                if "histograms" in self._waiting:
                    weights = dict(event_files.named_weights(net))
                    event_files.write_histograms(writer, "weights", weights, step)
                    event_files.write_histograms(writer, "weights_gradient", self._gradients, step)
                if "filters" in self._waiting:
                    event_files.write_filters(writer, net, step)
                if "embeddings" in self._waiting:
                    self._write_embeddings(writer, trainer, pl_module)
            self._written_at |= dict.fromkeys(self._waiting, step)
            self._waiting = set()
            self._gradients = {}

    def _write_embeddings(
        self, writer: SummaryWriter, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> None:
        """Writes embeddings of images spread evenly over the split, which may be sorted by class."""
        loader, datamodule = trainer.val_dataloaders, trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(loader, BatchLoader) or not hasattr(datamodule, "to_input"):
            return
        total = len(loader.ids_M)
        positions = torch.linspace(0, total - 1, min(self.embedded, total)).long()
        inputs, labels = [], []
        for batch in loader.at(positions):
            x_BCHW, labels_B, _ = datamodule.to_input([part.to(pl_module.device) for part in batch])
            inputs.append(x_BCHW)
            labels += [_classes(pl_module)[label] for label in labels_B.tolist()]
        x_NCHW = torch.cat(inputs)
        preprocessing = Preprocessing.from_dict(cast(Any, pl_module.preprocessing))
        event_files.write_embeddings(
            writer,
            _net(pl_module),
            x_NCHW,
            preprocessing.denormalize(x_NCHW),
            labels,
            trainer.global_step,
        )


def _net(pl_module: L.LightningModule) -> nn.Module:
    return cast(nn.Module, pl_module.net)


def _classes(pl_module: L.LightningModule) -> tuple[str, ...]:
    return cast(tuple[str, ...], pl_module.classes)


def _preprocessing(pl_module: L.LightningModule, x_BCHW: Tensor) -> Preprocessing | None:
    """Returns the preprocessing of the images; None if the input is cached features."""
    preprocessing = Preprocessing.from_dict(cast(Any, pl_module.preprocessing))
    side = preprocessing.image_size
    is_image = x_BCHW.shape[1:] == (preprocessing.in_channels, side, side)
    return preprocessing if is_image else None


@rank_zero_only
def _say(text: str) -> None:
    print(text)
