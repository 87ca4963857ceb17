"""Runs the forward and backward pass of every variant and head on CUDA with deterministic algorithms.

    python tests/null_gpu/deterministic_networks.py

Prints `<variant> <head> <error or ok>` for each, and the error of an average pool last. PyTorch raises an error for an operation without a
deterministic implementation before it runs a kernel, so the null GPU shows it.
"""

import torch

from vgg_lit.models import HEADS, VARIANTS, build

torch.use_deterministic_algorithms(True)
for variant in VARIANTS:
    for head in HEADS:
        with torch.device("cuda"):
            net = build(variant, head=head, width=1 / 16, num_classes=4, image_size=64)
            images = torch.zeros(2, 3, 64, 64)
        try:
            net(images).sum().backward()
        except RuntimeError as error:
            print(variant, head, str(error).splitlines()[0])
        else:
            print(variant, head, "ok")
try:
    torch.nn.functional.adaptive_avg_pool2d(images.requires_grad_(), 7).sum().backward()
except RuntimeError as error:
    print(str(error).splitlines()[0])
