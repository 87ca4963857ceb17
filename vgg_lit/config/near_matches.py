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
    ("b", "bs", "batch", "batchsz"): ("data.batch_size", "batch_size"),
    ("wd", "decay", "l2"): ("optimizer.weight_decay",),
    ("gpus", "ngpus", "numgpus", "gpu", "device", "nproc"): ("trainer.devices", "accelerator"),
    ("nodes", "nnodes"): ("trainer.num_nodes",),
    ("amp", "fp16", "bf16", "mixedprecision"): ("trainer.precision", "precision"),
    ("j", "workers", "numworkers", "nworkers"): ("data.source.num_workers", "data.source"),
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
    ("imagesize", "imgsize", "imgsz", "inputsize", "resolution", "size"): ("data.image_size",),
    ("cropsize", "traincropsize"): ("data.image_size",),
    ("valsplit", "valratio", "valsize", "validationsplit"): ("data.val_fraction",),
    ("numclasses", "nclasses", "classes", "nclass"): ("data.num_classes",),
    ("smoothing",): ("loss.label_smoothing",),
    ("clip", "gradclip", "clipgrad"): ("trainer.gradient_clip_val",),
    ("accumulate", "accumulation", "gradaccum"): ("trainer.accumulate_grad_batches",),
    ("printfreq", "logfreq", "loginterval"): ("trainer.log_every_n_steps",),
    ("drop", "droprate"): ("model.dropout",),
    ("gamma", "lrgamma"): ("scheduler.factor", "scheduler=step"),
    ("stepsize", "lrstepsize"): ("scheduler.every_epochs", "scheduler=step"),
    ("milestones", "lrsteps"): ("scheduler.milestones", "scheduler=multistep"),
    ("warmup", "warmupepochs", "lrwarmupepochs"): (
        "scheduler.warmup_fraction",
        "scheduler=one_cycle",
    ),
    ("coslr", "cosine"): ("scheduler=cosine",),
    ("ema", "modelema"): ("callbacks=[default,ema]",),
    ("patience", "earlystopping"): ("callbacks=[default,early_stopping]",),
    ("mixup", "mixupalpha"): ("augment=mixup",),
    ("cutmix", "cutmixalpha"): ("augment=cutmix",),
    ("reprob", "randomerase", "randomerasing"): ("augment=erasing",),
    ("aa", "autoaugment"): ("augment=autoaugment_cutout",),
    ("tta",): ("flip",),
    ("ckpt", "weights", "pretrained", "checkpoint"): ("checkpoint", "init.from", "ckpt_path"),
    ("ckptpath", "model"): ("run",),
    ("randomseed", "manualseed", "seedeverything"): ("seed",),
    ("project", "taskname", "runname", "expname"): ("name",),
    ("groupby", "group"): ("by",),
    ("metric", "metrics"): ("columns", "objective"),
    ("outputdir", "logdir", "outdir", "savedir"): ("output", "name"),
    ("file", "image", "img", "input", "source"): ("images",),
    ("run", "rundir"): ("run", "runs", "resume"),
    ("runs",): ("runs", "run"),
    ("topk", "top"): ("top_k",),
}
"""Normalised names that other projects use, and keys or options of this one; the first that a command has is
meant."""

OPTIONS = {
    "data": {"imagenet": "image_folder", "folder": "image_folder", "fmnist": "fashion_mnist"},
    "loss": {"ce": "cross_entropy", "crossentropyloss": "cross_entropy", "bcewithlogits": "bce"},
    "scheduler": {
        **{"cosineannealing": "cosine", "cosineannealinglr": "cosine", "steplr": "step"},
        **{"reducelronplateau": "plateau", "cosineannealingwarmrestarts": "cosine_restarts"},
    },
    "debug": {"default": "fast_dev_run", "fdr": "fast_dev_run"},
    "trainer": {"cuda": "gpu", "multigpu": "ddp", "auto": "default"},
    "augment": {
        **{"randaugment": "trivial_erasing", "randaug": "trivial_erasing", "cutout": "erasing"},
        **{"trivialaugment": "trivial_erasing", "default": "flip_shift"},
    },
    "callbacks": {
        **{"checkpoint": "default", "modelcheckpoint": "default", "richprogressbar": "default"},
        **{"modelema": "ema", "lrmonitor": "default"},
    },
    "model": {"vgg": "vgg16", "vgga": "vgg11", "vggb": "vgg13", "vggd": "vgg16", "vgge": "vgg19"},
}
"""Options of groups under other names, normalised."""


def nearest_key(typed: str, keys: Collection[str]) -> str | None:
    """Returns the dotted key, or the option of a group, that a mistyped key means; None if none is near.

    Args:
        typed: the key, with or without a section.
        keys: all keys of the config, and its groups.
    """
    section, _, leaf = typed.rpartition(".")
    name = normalized(leaf)
    for names, meant in SYNONYMS.items():
        known = (one for one in meant if one.partition("=")[0] in keys)
        if name in names and (found := next(known, None)):
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
    for same in (name, normalized(typed.partition(".")[0])):  # vgg16.tv_in1k of timm
        if same in known:
            return known[same]
    if (other := OPTIONS.get(group, {}).get(name)) in known.values():
        return other
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return known[close[0]] if close else None


def normalized(name: str) -> str:
    """Returns a name in lower case without hyphens, underscores and other signs."""
    return "".join(character for character in name.lower() if character.isalnum())
