"""Settings that take the value of another one by an interpolation in `conf/`.

follow(before, after)    # `augment` changed, so `data.augment` changes too

A recorded config has values in the place of interpolations, so that a change has to be repeated.
"""

from collections.abc import Collection, Mapping

from omegaconf import DictConfig, OmegaConf

FOLLOWERS: Mapping[str, tuple[str, ...]] = {
    "data.image_size": ("data.source.size", "model.image_size", "augment.jitter.image_size"),
    "data.in_channels": ("data.source.in_channels", "model.in_channels"),
    "data.num_classes": ("model.num_classes",),
    "data.fit": ("data.source.fit",),
    "seed": ("data.seed",),
    "augment": ("data.augment",),
}
"""Settings by the one that they follow; a follower that has followers itself is above them."""


def follow(before: DictConfig, after: DictConfig, typed: Collection[str] = ()) -> None:
    """Sets followers of changed settings in `after`, if they had the same value before.

    Args:
        before: recorded config.
        after: the config with changes.
        typed: keys that the command line sets.
    """
    for key, followers in FOLLOWERS.items():
        old, new = OmegaConf.select(before, key), OmegaConf.select(after, key)
        if old == new:
            continue
        for follower in followers:
            if _has(before, follower) and OmegaConf.select(before, follower) == old:
                inside = [name for name in typed if f"{name}.".startswith(f"{follower}.")]
                kept = {name: OmegaConf.select(after, name) for name in inside}
                OmegaConf.update(after, follower, new, merge=False)
                for name, value in kept.items():
                    OmegaConf.update(after, name, value, force_add=True)


def _has(config: DictConfig, key: str) -> bool:
    section, _, name = key.rpartition(".")
    place = OmegaConf.select(config, section) if section else config
    return isinstance(place, DictConfig) and name in place
