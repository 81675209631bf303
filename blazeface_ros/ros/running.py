"""How the programs of the nodes start and end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.logging import get_logger
from rclpy.node import Node

from blazeface_ros.errors import BlazeFaceError


def run(make_node: Callable[[], Node], name: str, args: list[str] | None) -> int:
    """Run a node until it is interrupted or ends by itself (`SystemExit`).

    Args:
        make_node: makes it.
        name: for the log, as long as there is no node.
        args: of the program; None: its command line.

    Returns:
        0; or 1 if it could not start, with the reason logged.
    """
    # rclpy's own handler ends the context upon an interrupt, and that ends spinning. Python's
    # handler would also raise a KeyboardInterrupt, wherever the program is at that moment.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    rclpy.init(args=args)
    node = None
    code = 0
    try:
        node = make_node()
        rclpy.spin(node)
    except BlazeFaceError as error:
        get_logger(name).fatal(str(error))
        code = 1
    except (ExternalShutdownException, SystemExit):
        pass
    except Exception:
        # The context ends at once; what a callback is publishing then fails.
        if rclpy.ok():
            raise
    finally:
        # One interrupt may come twice, from the terminal and from ros2 launch. The second one must
        # not disturb the ending.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    if getattr(node, 'abandoned_thread', False):
        # A thread still hangs in the network's library. An ordinary exit would unload the library
        # under it and crash.
        sys.stdout.flush()
        os._exit(code)
    return code
