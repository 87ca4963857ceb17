"""The one exception that means: what the user gave is wrong."""


class InputError(ValueError):
    """A config value, image, file or checkpoint that cannot be used.

    Its message is one line: what is wrong, where, and what is allowed. A verb prints it on
    standard error without a traceback and exits with code 2.
    """
