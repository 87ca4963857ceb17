"""The arguments of the metrics and the loggers, for help, reference and editors."""

from typing import Literal

from vgg_lit.config.schema.sections import Target, argument, setting


class MetricSettings(Target):
    """A metric of the `metrics` group, for the classes of `torchmetrics.classification`."""

    target: str = argument("Class of the metric.", alias="_target_")
    average: Literal["micro", "macro", "weighted", "none"] = argument("Mean over classes.")


class MetricsGroup(Target):
    """The `metrics` group: metrics by name, each with a `_target_`."""

    f1_macro: MetricSettings | None = argument("F1 score, mean over classes.")
    f1_weighted: MetricSettings | None = argument("F1 score, weighted by images.")
    precision_macro: MetricSettings | None = argument("Precision, mean over classes.")
    precision_weighted: MetricSettings | None = argument("Precision, weighted by images.")
    recall_macro: MetricSettings | None = argument("Recall, mean over classes.")
    recall_weighted: MetricSettings | None = argument("Recall, weighted by images.")
    class_acc: MetricSettings | None = argument("Accuracy of each class.")
    auroc: MetricSettings | None = argument("Area under the ROC curve.")
    ece: MetricSettings | None = argument("Expected calibration error.")
    confusion: MetricSettings | None = argument("Confusion matrix.")


class TensorBoardFiles(Target):
    """`logger.tensorboard`, for `EventLogger` and Lightning's `TensorBoardLogger`."""

    name: str = setting("", "Folder between the run directory and the version.")
    version: str = setting("tensorboard", "Folder in the run directory.")
    default_hp_metric: bool = setting(False, "Adds the metric hp_metric.")


class CSVFiles(Target):
    """`logger.csv`, for Lightning's `CSVLogger`."""

    name: str = setting("", "Folder between the run directory and the version.")
    version: str = setting("csv", "Folder in the run directory.")


class WandbSettings(Target):
    """`logger.wandb`, for Lightning's `WandbLogger`; others are arguments of `wandb.init`."""

    project: str = setting("vgg_lit", "Project of the run.")
    offline: bool | None = setting(
        None, "Writes files for wandb sync; null is true without an account."
    )


class MLflowSettings(Target):
    """`logger.mlflow`, for Lightning's `MLFlowLogger`."""

    experiment_name: str = setting("vgg_lit", "Experiment of the run.")
    tracking_uri: str = setting(
        '${oc.env:MLFLOW_TRACKING_URI,"sqlite:///logs/mlflow.db"}',
        "Address of the server or of the local store; the environment variable MLFLOW_TRACKING_URI "
        "changes the default.",
        shown="sqlite:///logs/mlflow.db",
    )


class CometSettings(Target):
    """`logger.comet`, for Lightning's `CometLogger`."""

    project: str = setting("vgg_lit", "Project of the run.")
    online: bool | None = setting(
        None, "Sends to the server; null writes offline without an account."
    )


class AimSettings(Target):
    """`logger.aim`, for the `AimLogger` of Aim."""

    repo: str = setting("logs", "Folder of the repository.")
    experiment: str = setting("vgg_lit", "Experiment of the run.")
    log_system_params: bool = setting(False, "Stores packages and environment variables.")


class LoggerGroup(Target):
    """The `logger` group: loggers by name, each with a `_target_`."""

    tensorboard: TensorBoardFiles | None = argument("Writes TensorBoard files.")
    csv: CSVFiles | None = argument("Writes a CSV file.")
    wandb: WandbSettings | None = argument("Logs to Weights & Biases.")
    mlflow: MLflowSettings | None = argument("Logs to MLflow.")
    comet: CometSettings | None = argument("Logs to Comet.")
    aim: AimSettings | None = argument("Logs to Aim.")
