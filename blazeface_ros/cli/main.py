"""The command `blazeface`, whose first argument is a verb."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import io
import os
import sys
from typing import Any, NoReturn

import blazeface_ros
from blazeface_ros.cli import benchmark, convert, detect, doctor, evaluate, parity
from blazeface_ros.errors import BlazeFaceError, describe_file_error, shortened

VERBS = (detect, evaluate, convert, parity, benchmark, doctor)
EXAMPLES = """examples:
  blazeface detect photo.jpg                        print the faces
  blazeface detect --json *.jpg                     print one JSON object per picture
  blazeface detect --smallest-face 32 --save out photo.jpg
                                                    also find small faces, and draw them
  blazeface doctor                                  tell what this machine can run
  blazeface benchmark                               measure the speed of all backends
  blazeface convert all face_detection_back.tflite -o models
                                                    convert a network for an Ascend NPU

`blazeface VERB --help` lists the options of a verb.
"""


#: Characters of what argparse says about an argument, which it repeats.
MOST_SAID = 400


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(shortened(message, MOST_SAID))

    def _print_message(self, message: str, file: Any = None) -> None:
        (file or sys.stderr).write(message)  # argparse's own method hides errors of the output


def main(arguments: list[str] | None = None) -> int:
    """Run a verb.

    Args:
        arguments: the words after the program's name. None takes those of this process.

    Returns:
        The exit code. 0: all went well. 1: something failed, such as the output, or a check did not
        pass. 2: an option or its value cannot work. 3: `blazeface convert` did not find atc. 130:
        interrupted.
    """
    _prepare_output()
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()  # here, so that its error is not raised when Python ends
    except BlazeFaceError as error:
        print(f'blazeface: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the program that reads the output, such as `head`, has ended
        _discard_output()
        return 0
    except OSError as error:
        _discard_output()
        # Verbs make sentences of the errors of their files. What is left is that of the output.
        where = 'the output' if error.filename is None else repr(error.filename)
        print(f'blazeface: {where} {describe_file_error(error, "written")}', file=sys.stderr)
        return 1


def _run(arguments: list[str] | None) -> int:
    parser = _Parser(
        prog='blazeface',
        description='Find faces with six keypoints in pictures. Other verbs measure, compare and '
        'convert the networks that find them.',
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=blazeface_ros.__version__)
    verbs = parser.add_subparsers(metavar='VERB', required=True)
    for verb in VERBS:
        verb.add_parser(verbs)
    options = parser.parse_args(arguments)
    code: int = options.run(options)
    return code


def _prepare_output() -> None:
    """See to it that any name can be printed, also one that is not UTF-8, and to closed streams."""
    codecs.register_error('blazeface', _encode_anyhow)
    # Programs read stdout and need the very bytes of a name; people read stderr.
    for name, errors in (('stdout', 'blazeface'), ('stderr', 'backslashreplace')):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller, as by `>&-`
            setattr(sys, name, open(os.devnull, 'w', encoding='utf-8'))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def _encode_anyhow(error: UnicodeError) -> tuple[str | bytes, int]:
    """Give the bytes of a file's name back as they were, and escape what is not encodable."""
    try:
        return codecs.lookup_error('surrogateescape')(error)
    except UnicodeError:
        return codecs.lookup_error('backslashreplace')(error)


def _discard_output() -> None:
    """Let what is still buffered go nowhere when Python ends."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


if __name__ == '__main__':
    sys.exit(main())
