"""The command `blazeface`, whose first argument is a verb."""

from __future__ import annotations

import argparse
import os
import sys

import blazeface_ros
from blazeface_ros.cli import benchmark, convert, detect, doctor, evaluate, parity
from blazeface_ros.errors import BlazeFaceError

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


def main(arguments: list[str] | None = None) -> int:
    """Run a verb.

    Args:
        arguments: the words after the program's name. None takes those of this process.

    Returns:
        The exit code. 0: all went well. 1: something failed, or a check did not pass. 2: an option
        or its value cannot work. 3: `blazeface convert` did not find atc. 130: interrupted.
    """
    parser = argparse.ArgumentParser(
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
    try:
        code: int = options.run(options)
        sys.stdout.flush()  # here, so that the error below is not raised later
        return code
    except BlazeFaceError as error:
        print(f'blazeface: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The program that reads the output, such as `head`, has ended. What is still buffered must
        # go somewhere when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == '__main__':
    sys.exit(main())
