"""Searches the largest batch size on CUDA.

    python tests/null_gpu/found_batch_size.py

Prints it, the bytes of the device in use afterwards, and the most that torch's allocator had.
"""

import tempfile
from pathlib import Path

import hydra
import torch

from vgg_lit.config.checks import to_plain
from vgg_lit.config.group_options import config_folder
from vgg_lit.config.resolvers import register_resolvers
from vgg_lit.training.finders import find

register_resolvers()
overrides = ["trainer=gpu", "model.width=0.0625", "data.train_size=5120", "find_batch_size=true"]
with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
    config = to_plain(hydra.compose("train", overrides=overrides))
with tempfile.TemporaryDirectory() as folder:
    found = find(config, Path(folder))["data"]["batch_size"]
free, total = torch.cuda.mem_get_info()
print(found, total - free, torch.cuda.max_memory_reserved(), sep="\t")
