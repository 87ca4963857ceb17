"""The key or option that a user probably meant by another one.

nearest_key("optimizer.learning_rate", ["optimizer.lr", "seed"])    # optimizer.lr
nearest_option("data", "cifar-10", ["cifar10", "cifar100"])          # cifar10
"""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

SYNONYMS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("lr", "learningrate", "lrate"): ("optimizer.lr",),
    ("epochs", "epoch", "nepochs", "numepochs"): ("trainer.max_epochs",),
    ("steps", "iterations", "maxiter"): ("trainer.max_steps", "trainer.max_epochs"),
    ("bs", "batch", "batchsz"): ("data.batch_size", "batch_size"),
    ("wd", "decay", "l2"): ("optimizer.weight_decay",),
    ("gpus", "ngpus", "numgpus", "gpu", "device", "nproc"): ("trainer.devices", "accelerator"),
    ("nodes", "nnodes"): ("trainer.num_nodes",),
    ("amp", "fp16", "bf16", "mixedprecision"): ("trainer.precision", "precision"),
    ("workers", "numworkers", "nworkers"): ("data.source.num_workers", "data.source"),
    ("dataset", "datasets"): ("data",),
    ("datadir", "datapath", "dataroot", "dataset_dir"): ("data_root", "data.root"),
    ("path", "dir", "folder"): ("data.root", "data_root", "run"),
    ("arch", "architecture", "net", "network", "backbone"): ("model",),
    ("augmentation", "augmentations", "transform", "transforms", "aug"): ("augment",),
    ("opt", "optim", "optimiser"): ("optimizer",),
    ("sched", "lrscheduler", "schedule"): ("scheduler",),
    ("criterion", "lossfn"): ("loss",),
    ("callback",): ("callbacks",),
    ("loggers", "wandb", "tracker"): ("logger",),
    ("imagesize", "imgsize", "inputsize", "resolution", "size"): ("data.image_size",),
    ("numclasses", "nclasses", "classes", "nclass"): ("data.num_classes",),
    ("smoothing",): ("loss.label_smoothing",),
    ("clip", "gradclip", "clipgrad"): ("trainer.gradient_clip_val",),
    ("ckpt", "weights", "pretrained", "checkpoint"): ("checkpoint", "init.from", "ckpt_path"),
    ("randomseed", "manualseed"): ("seed",),
    ("outputdir", "logdir", "outdir", "savedir"): ("output", "name"),
    ("file", "image", "img", "input"): ("images",),
    ("run", "rundir"): ("run", "runs", "resume"),
    ("runs",): ("runs", "run"),
    ("topk", "top"): ("top_k",),
}
"""Normalised names that other projects use, and keys of this one; the first that a command has is meant."""

OPTIONS = {
    "data": {"imagenet": "image_folder", "folder": "image_folder", "fmnist": "fashion_mnist"},
    "loss": {"ce": "cross_entropy", "crossentropyloss": "cross_entropy", "bcewithlogits": "bce"},
    "scheduler": {"cosineannealing": "cosine", "cosineannealinglr": "cosine", "steplr": "step"},
    "trainer": {"cuda": "gpu", "multigpu": "ddp", "auto": "default"},
    "augment": {"randaugment": "trivial_erasing", "default": "flip_shift", "cutout": "erasing"},
    "callbacks": {"swa": "ema", "checkpoint": "default"},
    "model": {"vgg": "vgg16", "vgga": "vgg11", "vggb": "vgg13", "vggd": "vgg16", "vgge": "vgg19"},
}
"""Options of groups under other names, normalised."""


def nearest_key(typed: str, keys: Collection[str]) -> str | None:
    """Returns the dotted key that is nearest to a mistyped one; None if none is near.

    Args:
        typed: the key, with or without a section.
        keys: all keys of the config, and its groups.
    """
    section, _, leaf = typed.rpartition(".")
    name = normalized(leaf)
    for names, meant in SYNONYMS.items():
        if name in names and (found := next((key for key in meant if key in keys), None)):
            return found
    leaves = {key: normalized(key.rpartition(".")[2]) for key in keys}
    near_first = sorted(keys, key=lambda key: (key.rpartition(".")[0] != section, key.count(".")))
    if same := [key for key in near_first if leaves[key] == name]:
        return same[0]
    own = {key: leaves[key] for key in near_first if key.rpartition(".")[0] == section}
    for among, cutoff in ((own, 0.6), ({key: leaves[key] for key in near_first}, 0.75)):
        if close := get_close_matches(name, set(among.values()), n=1, cutoff=cutoff):
            return next(key for key, value in among.items() if value == close[0])
    return None


def nearest_option(group: str, typed: str, options: Iterable[str]) -> str | None:
    """Returns the option of a group that is nearest to a mistyped one; None if none is near."""
    known = {normalized(option): option for option in options}
    name = normalized(typed)
    if name in known:
        return known[name]
    if (other := OPTIONS.get(group, {}).get(name)) in known.values():
        return other
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return known[close[0]] if close else None


def normalized(name: str) -> str:
    """Returns a name in lower case without hyphens, underscores and other signs."""
    return "".join(character for character in name.lower() if character.isalnum())
