"""Errors that speak to the person who can mend them: what was wrong, where, what would be right."""


class UserError(Exception):
    """Something the user can mend. Shown as its message alone, without a traceback."""


class ConfigurationError(UserError):
    """The configuration cannot be run; the message names the key and what would be right."""


class DataError(UserError):
    """Data are missing, altered, or not of the form the task needs."""


class EnvironmentProblemError(UserError):
    """The machine lacks what the configuration asks for (a GPU, a kernel library, disk space, memory)."""


class StaleResultError(UserError):
    """A stored result was made by other code or settings than the present ones."""
