"""The usual script, trained to the end: torchvision's layers in fp32 with a DataLoader.

    for epoch in usual_epochs("vgg16_bn", train, test, epochs=12, file=Path("usual.pt"), device=device):
        print(epoch.seconds, epoch.accuracy)

The recipe is that of many public scripts for CIFAR-10: SGD with momentum 0.9 and weight decay 5e-4, a
one-cycle schedule up to a learning rate of 0.1, batches of 128, random crop and flip of each sample.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from measurement import synchronise
from per_sample import PerSampleImages
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from vgg_lit.data.sources import ResidentImages
from vgg_lit.system.files import replacing

BATCH_SIZE = 128
LEARNING_RATE = 0.1
NUM_WORKERS = 2


@dataclass(frozen=True)
class Epoch:
    """A finished epoch.

    Attributes:
        seconds: time of training, without the test.
        accuracy: share of correct test images after it.
    """

    seconds: float
    accuracy: float


def usual_network(model: str, num_classes: int) -> nn.Module:
    """Builds torchvision's convolutions with one linear layer, for 3 x 32 x 32 images."""
    features = getattr(torchvision.models, model)(init_weights=False).features
    return nn.Sequential(features, nn.Flatten(), nn.Linear(512, num_classes))


def usual_epochs(
    model: str,
    train: ResidentImages,
    test: ResidentImages,
    epochs: int,
    file: Path,
    device: torch.device,
) -> Iterator[Epoch]:
    """Trains for `epochs` epochs and yields each one; continues from `file`, written after each epoch.

    Args:
        model: name of a torchvision VGG.
        train: training images, (N, 3, 32, 32) uint8.
        test: test images of the same shape.
        epochs: length of the schedule.
        file: state of the training.
        device: device of the training.
    """
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    net = usual_network(model, int(train.labels_N.max()) + 1).to(device)
    optimizer = torch.optim.SGD(net.parameters(), LEARNING_RATE, momentum=0.9, weight_decay=5e-4)
    dataset = PerSampleImages(train)
    loader = DataLoader(
        dataset,
        BATCH_SIZE,
        shuffle=True,
        drop_last=len(dataset) > BATCH_SIZE,
        num_workers=NUM_WORKERS,
        persistent_workers=True,
        pin_memory=device.type == "cuda",
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=epochs * len(loader)
    )
    parts = {"net": net, "optimizer": optimizer, "schedule": schedule}
    done: list[Epoch] = []
    if file.is_file():
        state = torch.load(file, weights_only=True)
        done = [Epoch(*figures) for figures in state["done"]]
        for name, part in parts.items():
            part.load_state_dict(state[name])
    yield from done
    while len(done) < epochs:
        torch.manual_seed(len(done))  # each epoch has its own order, also after an interruption
        start = time.perf_counter()
        net.train()
        for x_BCHW, labels_B in loader:
            logits_BK = net(x_BCHW.to(device, non_blocking=True))
            loss = F.cross_entropy(logits_BK, labels_B.to(device, non_blocking=True))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        synchronise(device)
        seconds = time.perf_counter() - start
        done.append(Epoch(seconds, _accuracy(net.eval(), test, dataset, device)))
        with replacing(file) as temporary:
            state = {name: part.state_dict() for name, part in parts.items()}
            torch.save({**state, "done": [(e.seconds, e.accuracy) for e in done]}, temporary)
        yield done[-1]


@torch.no_grad()
def _accuracy(
    net: nn.Module, test: ResidentImages, dataset: PerSampleImages, device: torch.device
) -> float:
    normalise = v2.Compose(dataset.transform.transforms[-2:])
    batches = zip(test.images_NCHW.split(500), test.labels_N.split(500), strict=True)
    correct = sum(_correct(net(normalise(x).to(device)), y.to(device)) for x, y in batches)
    return correct / len(test.labels_N)


def _correct(logits_BK: Tensor, labels_B: Tensor) -> int:
    return int((logits_BK.argmax(dim=1) == labels_B).sum())
