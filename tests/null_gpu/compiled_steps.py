"""Prints captures and launches of CUDA graphs after each step of a compiled network.

Each step has new input tensors. The last batches are evaluated, and one is smaller.
"""

import ctypes
import os
import sys
from types import SimpleNamespace

import torch

from vgg_lit.classifier import Classifier

STEPS = 6


def counted(library):
    buffer = ctypes.create_string_buffer(1 << 20)
    library.null_gpu_counts(buffer, len(buffer))
    counts = dict(line.rsplit("\t", 1) for line in buffer.value.decode().splitlines())
    return counts.get("graph capture", 0), counts.get("graph launch", 0)


def main():
    library = ctypes.CDLL(os.environ["NULL_GPU_LIBRARY"])
    model = {
        "_target_": "vgg_lit.models.build",
        "variant": [[4]],
        "head": "linear",
        "num_classes": 10,
        "in_channels": 1,
        "image_size": 8,
        "batch_norm": True,
        "checkpoint_blocks": sys.argv[1] == "checkpointed",
    }
    classifier = Classifier(model, compile="reduce-overhead").cuda()
    classifier.log = lambda *args, **kwargs: None
    strategy = SimpleNamespace(root_device=torch.device("cuda"))
    classifier.trainer = SimpleNamespace(current_epoch=0, global_rank=0, strategy=strategy)
    classifier.setup("fit")
    optimizer = torch.optim.SGD(classifier.net.parameters(), lr=0.1)
    kept = []  # so that each batch has another address
    for step in range(STEPS):
        kept.append(torch.randn(16, 1, 8, 8, device="cuda"))
        labels = torch.zeros(16, dtype=torch.long, device="cuda")
        with torch.autocast("cuda", torch.bfloat16):
            loss = classifier.training_step((kept[-1], labels, labels), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print("train", *counted(library), sep="\t")
    classifier.eval()
    for size in (16, 16, 5, 16, 5):
        labels = torch.zeros(size, dtype=torch.long, device="cuda")
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
            images = torch.randn(size, 1, 8, 8, device="cuda")
            classifier.validation_step((images, labels, labels), 0)
        print("val", *counted(library), sep="\t")


if __name__ == "__main__":
    main()
