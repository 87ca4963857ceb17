"""Lightning callbacks, and the logger of TensorBoard's files."""

from vgg_lit.callbacks.checkpointing import Checkpointing
from vgg_lit.callbacks.epoch_average import EpochAverage
from vgg_lit.callbacks.event_logger import EventLogger
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
    "EventLogger",
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
