"""The one error that the command line shows without a traceback."""


class DevClusterError(Exception):
    """What is wrong, to which cluster or tool, and what to do about it."""
