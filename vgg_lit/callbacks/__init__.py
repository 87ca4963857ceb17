"""Lightning callbacks."""

from vgg_lit.callbacks.checkpointing import Checkpointing
from vgg_lit.callbacks.epoch_average import EpochAverage
from vgg_lit.callbacks.guards import ChanceLevel, FiniteLoss
from vgg_lit.callbacks.layer_times import LayerTimes
from vgg_lit.callbacks.metrics_table import MetricsTable
from vgg_lit.callbacks.moving_average import MovingAverage
from vgg_lit.callbacks.progress import Progress, ProgressBar
from vgg_lit.callbacks.tensorboard import TensorBoard
from vgg_lit.callbacks.throughput import LearningRate, Throughput

__all__ = [
    "ChanceLevel",
    "Checkpointing",
    "EpochAverage",
    "FiniteLoss",
    "LayerTimes",
    "LearningRate",
    "MetricsTable",
    "MovingAverage",
    "Progress",
    "ProgressBar",
    "TensorBoard",
    "Throughput",
]
