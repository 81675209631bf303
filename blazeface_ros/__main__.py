"""The command `blazeface` from its first moment on, when an interrupt may come already."""

from __future__ import annotations

import os
import signal
import sys

#: The exit code of a program that was interrupted, as shells have it.
INTERRUPTED = 130


def main() -> int:
    """Import the command and run it.

    Returns:
        The exit code; see `blazeface_ros.cli.main.main`.
    """
    # The imports take a while. A KeyboardInterrupt in them would be printed, or taken for a library
    # that is missing. Nothing has been done yet that an end at once could leave half done.
    expected = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if expected:  # and not ignored, as in the background of a shell
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from blazeface_ros.cli.main import main as run

    try:
        if expected:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == '__main__':
    sys.exit(main())
