"""`blazeface VERB …`."""

from __future__ import annotations

import argparse
import sys

import blazeface_ros
from blazeface_ros.cli import benchmark, convert, detect, doctor, evaluate, parity
from blazeface_ros.errors import BlazeFaceError

VERBS = (detect, evaluate, convert, parity, benchmark, doctor)


def main(arguments: list[str] | None = None) -> int:
    """Run a verb.

    Returns:
        0; 1 if something failed on the way; 2 if it could not start as asked.
    """
    parser = argparse.ArgumentParser(
        prog='blazeface', description='BlazeFace: faces with six keypoints.'
    )
    parser.add_argument('--version', action='version', version=blazeface_ros.__version__)
    verbs = parser.add_subparsers(metavar='VERB', required=True)
    for verb in VERBS:
        verb.add_parser(verbs)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except BlazeFaceError as error:
        print(f'blazeface: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        return 0


if __name__ == '__main__':
    sys.exit(main())
