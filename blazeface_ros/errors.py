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


#: Characters of a text from outside that a message quotes.
MOST_QUOTED = 200


def shortened(text: str, most: int = MOST_QUOTED) -> str:
    """A text for a message, cut after so many characters with a note of its length."""
    return text if len(text) <= most else f'{text[:most]}… ({len(text)} characters)'


def describe(error: BaseException) -> str:
    """An error as one short line; of an error that nobody planned, its kind, too."""
    text = ' '.join(str(error).split())
    if isinstance(error, BlazeFaceError):
        return text
    return shortened(f'{type(error).__name__}: {text}')


def quoted(value: object) -> str:
    """A name from outside in quotes, shortened, for a message."""
    return f"'{shortened(str(value))}'"


def is_utf8(name: str) -> bool:
    """Whether a file's name can be given to libraries in C++.

    They fail for any other name, or end the process.
    """
    return not any('\ud800' <= character <= '\udfff' for character in name)


def describe_file_error(error: OSError | ValueError | RuntimeError, deed: str = 'read') -> str:
    """What is wrong with a file, to follow its name: `does not exist`, `cannot be read: …`.

    Args:
        error: of the call that failed. Its number and the name of the file are left out.
        deed: what failed: `read` or `written`.
    """
    if isinstance(error, FileNotFoundError) and deed == 'read':
        return 'does not exist'
    return f'cannot be {deed}: {getattr(error, "strerror", None) or error}'
