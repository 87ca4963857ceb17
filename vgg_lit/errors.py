"""The two ways in which a verb ends early, each with one line and no traceback."""


class InputError(ValueError):
    """A config value, image, file or checkpoint that cannot be used.

    Its message is one line: what is wrong, where, and what is allowed. A verb prints it on
    standard error and exits with code 2.
    """


class TrainingError(RuntimeError):
    """A run that went wrong by itself and cannot go on.

    Its message is one line: what happened, and what helps. A verb prints it on standard error and
    exits with code 1.
    """
