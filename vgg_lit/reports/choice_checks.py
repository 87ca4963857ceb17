"""Checks of the layers and the image that figures are drawn of, before Lightning is imported."""

from vgg_lit.config.network_checks import check_model
from vgg_lit.config.schema import Visualize
from vgg_lit.evaluation.trained import Trained


def check_layers_and_image(settings: Visualize, trained: Trained) -> None:
    """Checks that the network has the layers, and that the image can be read.

    Raises:
        InputError: it has not, or it cannot.
    """
    from vgg_lit.models.data_arguments import DataShape
    from vgg_lit.models.layers import check_layers

    if settings.layers:
        net = check_model(trained.hyperparameters["model"], DataShape())
        check_layers(net, settings.layers)
    if settings.image:
        from vgg_lit.data.images import read_image

        shape = trained.preprocessing
        read_image(settings.image, shape.in_channels, shape.source_size, fit=shape.fit)
