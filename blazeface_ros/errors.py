"""What can go wrong, each error saying what was wrong, with the value, and what to do about it."""


class BlazeFaceError(Exception):
    """Any error this package raises on purpose; its text is one sentence for the user."""


class ConfigurationError(BlazeFaceError, ValueError):
    """A setting (a parameter, an argument) has a value that cannot work."""


class ModelError(BlazeFaceError):
    """A model file is missing, damaged, or not the network it is taken for."""


class BackendError(BlazeFaceError):
    """A library or device that is needed is missing or failed."""


class ImageError(BlazeFaceError):
    """A picture or frame cannot be read; the next one may be fine."""


class ConversionError(BlazeFaceError):
    """A model file cannot be converted or written."""
