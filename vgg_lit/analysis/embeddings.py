"""Features before the last layer of a network, and their projection to two dimensions.

    features_NF = torch.cat([embed(net, x_BCHW) for x_BCHW in batches])
    points_N2 = tsne(features_NF.numpy())

The projections need scikit-learn, which the extra `visualize` installs.
"""

import numpy as np
import torch
from torch import Tensor, nn

from vgg_lit.analysis.features import evaluating
from vgg_lit.errors import InputError

COMPONENTS = 50
"""Principal components to which wide features are reduced before t-SNE, as its authors recommend."""


def embed(net: nn.Module, x_BCHW: Tensor) -> Tensor:
    """Returns the input (B, F) of the last fully connected layer.

    Raises:
        InputError: the network has none.
    """
    linears = [module for module in net.modules() if isinstance(module, nn.Linear)]
    if not linears:
        raise InputError("only available for networks with a fully connected layer")
    found: list[Tensor] = []

    def hook(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        found.append(arguments[0].flatten(1).clone())

    handle = linears[-1].register_forward_pre_hook(hook)
    try:
        with evaluating(net), torch.no_grad():
            net(x_BCHW)
    finally:
        handle.remove()
    return found[0]


def pca(features_NF: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the first two principal components (N, 2) and their share of the variance.

    Equal features have equal positions, and a share of 0.
    """
    from sklearn.decomposition import PCA

    if not np.ptp(features_NF, axis=0).any():
        return np.zeros((len(features_NF), 2), features_NF.dtype), 0.0
    reducer = PCA(2, svd_solver="full")
    points_N2 = reducer.fit_transform(features_NF)
    return points_N2, float(reducer.explained_variance_ratio_.sum())


def tsne(features_NF: np.ndarray, seed: int = 0) -> np.ndarray:
    """Returns t-SNE positions (N, 2): neighbours stay close; distances between clusters mean nothing.

    Equal features have equal positions.

    Source: van der Maaten & Hinton 2008.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    count, width = features_NF.shape
    if not np.ptp(features_NF, axis=0).any():  # t-SNE divides by the spread of its start
        return np.zeros((count, 2), features_NF.dtype)
    if width > COMPONENTS < count:
        features_NF = PCA(COMPONENTS, svd_solver="full").fit_transform(features_NF)
    perplexity = min(30.0, (count - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(features_NF)
