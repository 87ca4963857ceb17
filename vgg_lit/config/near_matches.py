"""The key or option that a user probably meant by another one.

nearest_key("optimizer.learning_rate", ["optimizer.lr", "seed"])    # optimizer.lr
nearest_option("data", "cifar-10", ["cifar10", "cifar100"])          # cifar10
nearest_value("trainer.precision", "fp16", ["16-mixed", "32-true"])  # trainer.precision=16-mixed
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from vgg_lit.config.group_options import config_folder, groups_of
from vgg_lit.config.known_options import selecting
from vgg_lit.config.schema import GROUPS

SYNONYMS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("lr", "learningrate", "lrate", "maxlr", "baselr"): ("optimizer.lr",),
    ("epochs", "epoch", "nepochs", "numepochs", "numtrainepochs"): ("trainer.max_epochs",),
    ("steps", "iterations", "maxiter"): ("trainer.max_steps", "trainer.max_epochs"),
    ("b", "bs", "batch", "batchsz", "trainbatchsize"): ("data.batch_size", "batch_size"),
    ("batchsizeperdevice", "perdevicetrainbatchsize", "batchsizepergpu"): ("data.batch_size",),
    ("wd", "decay", "l2"): ("optimizer.weight_decay",),
    ("device=cpu", "device=gpu", "device=cuda", "device=mps", "cuda", "usecuda", "nocuda", "cpu"): (
        "trainer.accelerator",
        "accelerator",
    ),
    ("gpus", "ngpus", "numgpus", "gpu", "device", "nproc", "worldsize", "nprocpernode"): (
        "trainer.devices",
        "accelerator",
    ),
    ("nodes", "nnodes"): ("trainer.num_nodes",),
    ("amp", "fp16", "bf16", "mixedprecision"): ("trainer.precision", "precision"),
    ("j", "workers", "numworkers", "nworkers", "dataloadernumworkers"): (
        "data.source.num_workers",
    ),
    ("cache", "inmemory"): ("data.source.in_memory",),
    ("dataset", "datasets"): ("data",),
    (
        *("data.path", "data.dir", "data.root", "data.folder", "data.file", "data.datadir"),
        *("data.datapath", "data.traindir", "data.trainpath", "data.imagedir", "traindir"),
    ): ("data.root", "data=image_folder data.root=..."),
    ("datadir", "datapath", "dataroot", "datasetdir"): ("data_root", "data.root"),
    ("path", "dir", "folder"): ("run", "runs", "data.root", "data_root"),
    ("arch", "architecture", "net", "network", "backbone", "modelname"): ("model",),
    ("model.name", "model.type"): ("model",),
    ("data.name", "data.type"): ("data",),
    ("optimizer.name", "optimizer.type"): ("optimizer",),
    ("scheduler.name", "scheduler.type"): ("scheduler",),
    ("loss.name", "loss.type"): ("loss",),
    ("augmentation", "augmentations", "transform", "transforms", "aug"): ("augment",),
    ("itemtfms", "batchtfms", "tfms"): ("augment",),
    ("opt", "optim", "optimiser", "optfunc"): ("optimizer",),
    ("sched", "lrscheduler", "schedule"): ("scheduler",),
    ("criterion", "lossfn", "lossfunc"): ("loss",),
    ("callback", "cbs"): ("callbacks",),
    ("loggers", "wandb", "tracker", "reportto"): ("logger",),
    ("cfg", "config", "recipe"): ("experiment",),
    ("debug", "dryrun", "smoketest"): ("debug=fast_dev_run",),
    ("imagesize", "imgsize", "imgsz", "inputsize", "resolution", "size"): ("data.image_size",),
    ("cropsize", "traincropsize", "crop", "resize"): ("data.image_size",),
    ("valsplit", "valratio", "valsize", "validationsplit", "validpct", "val", "split"): (
        "data.val_fraction",
        "split",
    ),
    ("trainvaltestsplit",): ("data.val_fraction",),
    ("fraction", "trainfraction", "subset"): ("data.train_size",),
    ("stratify", "stratified"): ("data.splitting",),
    ("kfold", "kfolds", "nfolds", "nsplits"): ("data.folds",),
    ("mean", "std", "normalization", "normalisation"): ("data.normalize",),
    ("numclasses", "nclasses", "classes", "nclass"): ("data.num_classes",),
    ("smoothing",): ("loss.label_smoothing",),
    ("clip", "gradclip", "clipgrad"): ("trainer.gradient_clip_val",),
    ("accumulate", "accumulation", "gradaccum", "gradientaccumulationsteps"): (
        "trainer.accumulate_grad_batches",
    ),
    ("printfreq", "logfreq", "loginterval", "loggingsteps"): ("trainer.log_every_n_steps",),
    ("valcheckinterval", "evalinterval", "evalfreq"): ("trainer.check_val_every_n_epoch",),
    ("saveperiod", "saveinterval", "savefreq"): ("callbacks.checkpointing.every_n_epochs",),
    ("autolrfind", "lrfind"): ("find_lr",),
    ("autoscalebatchsize", "autobatchsize"): ("find_batch_size",),
    ("optimizedmetric", "direction"): ("objective",),
    ("torchcompile", "compilemodel"): ("compile",),
    ("drop", "droprate"): ("model.dropout",),
    ("gamma", "lrgamma"): ("scheduler.factor", "scheduler=step"),
    ("stepsize", "lrstepsize"): ("scheduler.every_epochs", "scheduler=step"),
    ("milestones", "lrsteps"): ("scheduler.milestones", "scheduler=multistep"),
    ("tmax", "t0", "etamin"): ("scheduler=cosine",),
    ("betas", "beta1", "beta2"): ("optimizer.betas", "optimizer=adamw"),
    ("warmup", "warmupepochs", "lrwarmupepochs", "warmupratio", "warmupsteps"): (
        "scheduler.warmup_fraction",
        "scheduler=one_cycle",
    ),
    ("coslr", "cosine"): ("scheduler=cosine",),
    ("ema", "modelema", "emadecay", "modelemadecay"): ("callbacks=[default,ema]",),
    ("patience", "earlystopping"): ("callbacks=[default,early_stopping]",),
    ("mixup", "mixupalpha"): ("augment=mixup",),
    ("cutmix", "cutmixalpha"): ("augment=cutmix",),
    ("reprob", "randomerase", "randomerasing"): ("augment=erasing",),
    ("aa", "autoaugment"): ("augment=autoaugment_cutout",),
    ("tta",): ("flip",),
    ("ckpt", "checkpoint"): ("checkpoint", "ckpt_path"),
    ("weights", "pretrained", "initialcheckpoint", "loadfrom"): ("checkpoint", "init.from"),
    ("resumefrom", "resumefromcheckpoint", "autoresume"): ("resume",),
    ("ckptpath", "model"): ("run",),
    ("randomseed", "manualseed", "seedeverything"): ("seed",),
    ("project", "taskname", "runname", "exp", "expname", "experimentname"): ("name",),
    ("study", "studyname"): ("name",),
    ("groupby", "group"): ("by",),
    ("metric", "metrics"): ("columns", "objective"),
    ("out", "outputdir", "logdir", "outdir", "savedir"): ("output",),
    ("file", "files", "image", "img", "input", "source"): ("images",),
    ("run", "rundir"): ("run", "runs", "resume"),
    ("runs",): ("runs", "run"),
    ("topk", "top"): ("top_k",),
    ("trials", "ntrial", "numtrials", "numsamples"): ("n_trials",),
    ("format", "fmt"): ("formats",),
    ("mode", "task", "train"): (),
}
"""Normalised names that other projects use, some with their section or value, and keys or options of this one; the
first that a command has is meant."""

RUN_DIR = "hydra.run.dir"
"""Hydra's key of the run directory, which is not among the keys of a config."""

OF_COMMANDS = {
    "train": dict.fromkeys(("out", "output", "outputdir", "logdir", "outdir", "savedir"), RUN_DIR),
    "predict": dict.fromkeys(("folder", "dir", "data", "imagedir", "imgdir"), "images"),
    "export": dict.fromkeys(("path", "folder", "dir"), "output"),
    "visualize": {
        **dict.fromkeys(("plot", "plots", "figure", "fig", "figs", "chart", "charts"), "figures"),
        **dict.fromkeys(("img", "file", "picture", "input", "source"), "image"),
    },
}
"""Normalised names that mean another key in one command than in the others."""

IN_MEMORY = "the images of this data set are in memory and need no workers"
NO_SETTING = {
    **dict.fromkeys(("j", "workers", "numworkers", "nworkers", "dataloadernumworkers"), IN_MEMORY),
    **dict.fromkeys(("pinmemory", "persistentworkers", "prefetchfactor"), "is always automatic"),
    "shuffle": "training images are always shuffled",
    "droplast": "an incomplete last batch of an epoch is always dropped in training",
    **dict.fromkeys(("format", "fmt"), "all formats are always written"),
    "dotrain": "the command train always trains",
}
"""Normalised names of settings of other projects that this one does not need, and the reason."""

OPTIONS = {
    "data": {
        **{"imagenet": "image_folder", "folder": "image_folder", "fmnist": "fashion_mnist"},
        **{"custom": "image_folder", "photos": "image_folder", "tinyimagenet": "image_folder"},
    },
    "loss": {
        **{"ce": "cross_entropy", "crossentropyloss": "cross_entropy", "bcewithlogits": "bce"},
        **{"nll": "cross_entropy", "labelsmoothing": "cross_entropy", "softmax": "cross_entropy"},
    },
    "logger": {"tb": "tensorboard"},
    "metrics": {"f1macro": "f1", "accuracy": "none", "acc": "none"},
    "sampler": {"bayes": "tpe", "bayesian": "tpe"},
    "pruner": {"asha": "hyperband"},
    "scheduler": {
        **{"cosineannealing": "cosine", "cosineannealinglr": "cosine", "steplr": "step"},
        **{"reducelronplateau": "plateau", "cosineannealingwarmrestarts": "cosine_restarts"},
        **{"constant": "none", "exponential": "step", "exponentiallr": "step"},
    },
    "debug": {"default": "fast_dev_run", "fdr": "fast_dev_run", "true": "fast_dev_run"},
    "trainer": {"cuda": "gpu", "multigpu": "ddp", "auto": "default"},
    "augment": {
        **{"randaugment": "trivial_erasing", "randaug": "trivial_erasing", "cutout": "erasing"},
        **{"trivialaugment": "trivial_erasing", "default": "flip_shift", "true": "flip_shift"},
        **{"auto": "autoaugment_cutout", "autoaugment": "autoaugment_cutout"},
    },
    "callbacks": {
        **{"checkpoint": "default", "modelcheckpoint": "default", "richprogressbar": "default"},
        **{"modelema": "ema", "lrmonitor": "default"},
    },
    "model": {"vgga": "vgg11", "vggb": "vgg13", "vggd": "vgg16", "vgge": "vgg19"},
}
"""Options of groups under other names, normalised."""

OFF = ("false", "off", "no", "null", "0")
"""Normalised values with which other projects turn a feature off."""

VALUES = {
    "precision": {
        **dict.fromkeys(("16", "fp16", "float16", "half", "amp", "mixed"), "16-mixed"),
        **dict.fromkeys(("bf16", "bfloat16"), "bf16-mixed"),
        **dict.fromkeys(("32", "fp32", "float32", "full", "single"), "32-true"),
        **dict.fromkeys(("64", "fp64", "float64", "double"), "64-true"),
    },
    "devices": {"-1": "auto", "all": "auto"},
    "resume": dict.fromkeys(("true", "last", "best", "newest"), "latest"),
    "split": {"validation": "val", "valid": "val"},
}
"""Values in lower case that other projects use, and values of the last part of a key."""


def dotted(config: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    """Yields the sections and dotted keys of a config."""
    for name, value in config.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{name}.")


def nearest_key(
    typed: str, keys: Collection[str], value: str = "", command: str = ""
) -> str | None:
    """Returns the dotted key, or the option of a group, that a mistyped key means; None if none is near.

    Several options that have the setting are joined by "or".

    Args:
        typed: the key, with or without a section.
        keys: all keys of the config, and its groups.
        value: the value that was typed for the key.
        command: name of the command; empty if no options of its groups can be chosen.
    """
    section, _, leaf = typed.rpartition(".")
    name = normalized(leaf)
    own_meaning = OF_COMMANDS.get(command, {}).get(name)
    if not section and own_meaning in (*keys, RUN_DIR):
        return own_meaning
    named = list(_synonyms({name, f"{section}.{name}", f"{name}={normalized(value)}"}, keys))
    group, _, rest = typed.partition(".")
    if section and (inside := [one for one in named if one and _group_of(one) == group]):
        return inside[0]
    if name in NO_SETTING and not named:
        return None
    leaves = {key: normalized(key.rpartition(".")[2]) for key in keys}
    is_chosen = rest == leaf and any(leaves[key] == name for key in keys if _group_of(key) == group)
    groups = GROUPS.keys() & (groups_of(command, config_folder()) if command else ())
    if group in groups and not is_chosen and (options := selecting(group, rest)):
        return options
    if named:
        return named[0]
    near_first = sorted(keys, key=lambda key: (key.rpartition(".")[0] != section, key.count(".")))
    if same := [key for key in near_first if leaves[key] == name]:
        return same[0]
    if not section:
        for group in sorted(groups - {"data"}):  # names such as image mean too much
            if options := selecting(group, leaf):
                return options
    own = {key: leaves[key] for key in near_first if key.rpartition(".")[0] == section}
    for among, cutoff in ((own, 0.6), ({key: leaves[key] for key in near_first}, 0.75)):
        if close := get_close_matches(name, set(among.values()), n=1, cutoff=cutoff):
            return next(key for key, value in among.items() if value == close[0])
    return None


def _synonyms(names: set[str], keys: Collection[str]) -> Iterator[str | None]:
    """Yields the keys and options that names of other projects mean in a command; None if they have no meaning."""
    for synonyms, meant in SYNONYMS.items():
        known = [one for one in meant if one.partition("=")[0] in keys]
        if names.intersection(synonyms) and (known or not meant):
            yield known[0] if known else None


def _group_of(key: str) -> str:
    """Returns the first part of a key or an override."""
    return key.partition("=")[0].partition(".")[0]


def nearest_option(group: str, typed: str, options: Iterable[str]) -> str | None:
    """Returns the option of a group that is nearest to a mistyped one; None if none is near."""
    known = {normalized(option): option for option in options}
    name = normalized(typed)
    if name in OFF and "none" in known:
        return known["none"]
    for same in (name, normalized(typed.partition(".")[0])):  # vgg16.tv_in1k of timm
        if same in known:
            return known[same]
    if (other := OPTIONS.get(group, {}).get(name)) in known.values():
        return other
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return known[close[0]] if close else None


def nearest_value(key: str, typed: str, allowed: Iterable[str]) -> str | None:
    """Returns the override with the value that is nearest to a refused one; None if none is near."""
    meant = VALUES.get(key.rpartition(".")[2], {}).get(typed.lower())
    if meant is None and (close := get_close_matches(typed.lower(), allowed, n=1)):
        meant = close[0]
    return f"{key}={meant}" if meant else None


def hint(typed: str, keys: Collection[str], value: str = "", command: str = "") -> str:
    """Returns the part of a message that names the key that was meant, or the reason why there is none.

    It ends with a space, and is empty if no key is near. The arguments are those of `nearest_key`.
    """
    if near := nearest_key(typed, keys, value, command):
        return f"did you mean {near}? "
    reason = NO_SETTING.get(normalized(typed.rpartition(".")[2]))
    return f"{reason}; " if reason else ""


def normalized(name: str) -> str:
    """Returns a name in lower case without hyphens, underscores and other signs."""
    return "".join(character for character in name.lower() if character.isalnum())
