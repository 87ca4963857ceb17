"""The version of the package."""

from importlib.metadata import version

__version__ = "0.1.0"

PACKAGES = ("torch", "torchvision", "lightning", "hydra-core")


def versions() -> str:
    """Returns the versions of vgg_lit, torch, Lightning and Hydra, one a line."""
    found = {"vgg_lit": __version__} | {package: version(package) for package in PACKAGES}
    return "\n".join(f"{package} {number}" for package, number in found.items())
