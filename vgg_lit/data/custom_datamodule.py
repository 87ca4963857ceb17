"""Any LightningDataModule, with the interface of `ImageDataModule`.

    datamodule = CustomDataModule(MyData(batch_size=32), {"classes": ["ant", "bee"]})

Float images are the network's input as they are. Shape suffixes: B images of a batch, C channels, H x W
pixels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import lightning as L
import torch
from torch import Tensor

from vgg_lit.data.batches import Batch
from vgg_lit.data.custom_batches import CustomLoader, PixelBatches, parts_of
from vgg_lit.data.custom_facts import find_facts, find_loader, is_of_pixels
from vgg_lit.data.custom_hooks import CustomHooks
from vgg_lit.data.orders import PADDING
from vgg_lit.data.preprocessing import Preprocessing
from vgg_lit.data.user_code import seeded
from vgg_lit.errors import InputError


@dataclass(frozen=True)
class CustomSource:
    """The name, channels and classes of a data module, as of a `Source`."""

    name: str
    in_channels: int
    classes: tuple[str, ...]
    lacks: tuple[str, ...]

    def facts(self) -> dict[str, str]:
        """Returns the line on features that are turned off."""
        return {"without": "; ".join(self.lacks)}


class CustomDataModule(CustomHooks):
    """A data module of the user as train, validation and test batches of this package.

    Without a Trainer, the loaders give images as pixels in 0..255 that `preprocessing` converts to the
    network's input.

    Args:
        module: the data module.
        declared: values of `DECLARED` in the config, which come before its attributes.
        seed: seed of the order.
        preprocessing: preprocessing of a finished run; None: of this data module.

    Raises:
        InputError: a batch or a declaration is wrong.
    """

    preprocessing: Preprocessing
    augment = None
    val_fraction = 0.0
    folds = fold = None

    def __init__(
        self,
        module: L.LightningDataModule,
        declared: Mapping[str, Any],
        seed: int = 0,
        preprocessing: Preprocessing | None = None,
    ) -> None:
        super().__init__(module, seed)
        self.declared = declared
        self.sizes: dict[str, int] = {}
        self._given = preprocessing
        self._loaders: dict[str, Any] = {}

    def setup(self, stage: str | None = None) -> None:
        """Sets up the splits of a stage: fit, validate, test, or all (None)."""
        self._once("fit", lambda: self._set_up("fit", "train", "val"))
        if stage in (None, "test"):
            self._once("test", lambda: self._set_up("test", "test"))
        self._once("learn", self._learn)
        self.sizes = {split: self._size(split) for split in self._loaders}

    def _set_up(self, stage: str, *splits: str) -> None:
        self.module.setup(stage)
        for split in splits:
            self._request_loader(split)

    def _request_loader(self, split: str) -> None:
        with seeded(self.seed, f"{split}_dataloader"):
            self._loaders[split] = find_loader(self.module, split)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the state, and then requests the loaders of the training, which may depend on it."""
        super().load_state_dict(state_dict)
        for split in ("train", "val"):
            if state_dict and split in self._loaders:
                self._request_loader(split)

    def teardown(self, stage: str | None = None) -> None:
        """Calls the hook of a user who has written one; the data are then prepared and set up again."""
        if type(self.module).teardown is not L.LightningDataModule.teardown:
            self.module.teardown(stage)  # type: ignore[arg-type]
            self._done -= {"prepare", "fit", "test"}

    def _learn(self) -> None:
        """Finds classes, channels, image size and normalisation, from the first batch of each split."""
        name = type(self.module).__name__
        if self._loaders["train"] is None:
            raise InputError(f"data: {name} has no train_dataloader")
        facts = find_facts(
            self.module, self.declared, getattr(self._loaders["train"], "dataset", None)
        )
        self.classes, self.training_labels = facts.classes, facts.labels_N
        first = {
            split: parts_of(
                self._converted(next(iter(self._loader(split)))), split, len(self.classes)
            )
            for split, loader in self._loaders.items()
            if loader is not None
        }
        images_BCHW = first["train"].images_BCHW
        channels, side = images_BCHW.shape[1:3]
        for key, found in (("in_channels", channels), ("image_size", side)):
            if self.declared.get(key, found) != found:
                raise InputError(
                    f"data.{key}={self.declared[key]}: the batches of {name} have {found}"
                )
        for split, batch in first.items():
            if batch.images_BCHW.shape[1:] != images_BCHW.shape[1:]:
                shapes = [tuple(one.shape[1:]) for one in (batch.images_BCHW, images_BCHW)]
                raise InputError(
                    f"data: {split} images are {shapes[0]}, training images {shapes[1]}"
                )
        self.image_size = int(side)
        batch_size = getattr(self._loaders["train"], "batch_size", None)
        self.batch_size = int(batch_size or len(images_BCHW))
        is_float = images_BCHW.is_floating_point()
        mean, std = facts.mean, facts.std
        is_known = not is_float or mean is not None or is_of_pixels(images_BCHW)
        for key, values in (("mean", mean), ("std", std)):
            if values is not None and len(values) != channels:
                raise InputError(f"data.{key}: has {len(values)} values for {channels} channels")
        if mean is None or std is None:
            mean, std = (0.0,) * channels, (1.0,) * channels
        self._own = Preprocessing(
            int(channels), self.image_size, self.image_size, mean, std, is_known=is_known
        )
        self.preprocessing = self._own
        if self._given is not None:
            if not self._given.is_known == is_known:
                raise InputError(f"data: {UNKNOWN.format(name)}")
            self.preprocessing = replace(self._given, source_size=self.image_size)
        self.source = CustomSource(
            name, int(channels), self.classes, tuple(self._lacks(facts.has_names, is_known))
        )

    def _lacks(self, has_names: bool, is_known: bool) -> Iterator[str]:
        yield "augment (the data module augments)"
        yield "comparison with training images in predict"
        if not has_names:
            yield "class names (classes)"
        if self.training_labels is None:
            yield "images by class, loss.class_weights=auto (labels of the data set)"
        if not is_known:
            yield "predict, export (mean and std of the float images)"
        for split, loader in self._loaders.items():
            if loader is None:
                yield {"val": "validation (val_dataloader)", "test": "test (test_dataloader)"}[
                    split
                ]

    def _size(self, split: str) -> int:
        loader = self._loaders[split]
        if loader is None:
            return 0
        try:
            return len(loader.dataset)
        except (AttributeError, TypeError):
            return len(loader) * self.batch_size

    @property
    def batches_per_epoch(self) -> int:
        """Number of training batches in an epoch."""
        return len(self._loaders["train"])

    @property
    def has_validation(self) -> bool:
        """Returns True if there are validation images."""
        return self._loaders.get("val") is not None

    @property
    def has_test(self) -> bool:
        """Returns True if there are test images."""
        return self._loaders.get("test") is not None

    @property
    def class_sizes(self) -> dict[str, list[int]]:
        """Number of training images of each class; empty if the labels are not known."""
        if self.training_labels is None:
            return {}
        return {"train": self.training_labels.bincount(minlength=len(self.classes)).tolist()}

    def image_names(self, split: str, ids: Tensor) -> list[str]:
        """Returns the ids as text."""
        return [str(i) for i in ids.tolist()]

    def image_ranges(self) -> None:
        """Returns None: pixel statistics are not measured."""

    def training_inputs(self, count: int) -> Iterator[Tensor]:
        """Yields the network input of at least the first `count` training images, batch by batch, on the CPU."""
        for batch in self._loader("train").all_batches():
            images_BCHW = parts_of(self._converted(batch), "train", None).images_BCHW
            yield self._to_input(images_BCHW)
            count -= len(images_BCHW)
            if count <= 0:
                return

    def _loader(self, split: str) -> CustomLoader:
        ranks = (0, 1)
        if self.trainer is not None:
            ranks = self.trainer.global_rank, self.trainer.world_size
        return CustomLoader(self._loaders[split], split, len(self.classes), self.seed, *ranks)

    def train_dataloader(self) -> CustomLoader | PixelBatches:
        """Returns the training batches."""
        return self._batches("train")

    def val_dataloader(self) -> CustomLoader | PixelBatches | list[Any]:
        """Returns the validation batches; an empty list if there are none."""
        return self._batches("val") if self.has_validation else []

    def test_dataloader(self) -> CustomLoader | PixelBatches:
        """Returns the test batches.

        Raises:
            InputError: there are none.
        """
        if not self.has_test:
            raise InputError(f"split=test: {self.source.name} has no test_dataloader; allowed: val")
        return self._batches("test")

    def _batches(self, split: str) -> CustomLoader | PixelBatches:
        loader = self._loader(split)
        if self.trainer is not None:
            return loader
        return PixelBatches(loader, self._converted, self._to_pixels)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """Calls the hook of the user; returns network input, labels and ids."""
        batch = self.module.on_after_batch_transfer(batch, dataloader_idx)
        split = "train" if self.trainer is None or self.trainer.training else "val"
        images_BCHW, labels, ids_B = parts_of(batch, split, None)
        if ids_B is None:
            ids_B = torch.full((len(images_BCHW),), PADDING)
        return self._to_input(images_BCHW), labels, ids_B

    def _converted(self, batch: Any) -> Any:
        """Returns a batch after the user's hooks, on the CPU."""
        return self.module.on_after_batch_transfer(
            self.module.on_before_batch_transfer(batch, 0), 0
        )

    def _to_input(self, images_BCHW: Tensor) -> Tensor:
        if images_BCHW.is_floating_point():
            return images_BCHW.float()
        return self._own.normalize(images_BCHW)

    def _to_pixels(self, images_BCHW: Tensor) -> Tensor:
        """Returns images as pixels in 0..255: uint8 as they are, float ones without normalisation."""
        if not images_BCHW.is_floating_point():
            return images_BCHW
        mean_C11, std_C11 = (
            torch.tensor(values, dtype=torch.float64)[:, None, None]
            for values in (self._own.mean, self._own.std)
        )
        return ((images_BCHW.double() * std_C11 + mean_C11) * 255).float()


UNKNOWN = (
    "the normalisation of the float images of {} is not known; set data.mean and data.std, for pixels in "
    "0..1, in its YAML file"
)
