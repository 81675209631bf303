"""How the programs of the nodes start and end."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

import rclpy
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from blazeface_ros.errors import describe
from blazeface_ros.ros.executor import RobustExecutor
from blazeface_ros.ros.signals import catch_ending_signals, ignore_ending_signals


def run(make_node: Callable[[], Node], name: str, args: list[str] | None) -> int:
    """Run a node until it is interrupted or ends by itself (`SystemExit`).

    The first SIGINT or SIGTERM ends the program in an orderly way, and more of them do not disturb
    that. rclpy's own handlers are not used: they end the context while the node still publishes.

    Args:
        make_node: makes it.
        name: for messages, as long as there is no node.
        args: of the program; None: its command line.

    Returns:
        0; or 1 if it could not start or not go on, with the reason logged.
    """
    signals = catch_ending_signals()
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # wrong arguments of ROS, or a folder for logs that cannot be used
        print(
            f'{name}: ROS 2 cannot start: {describe(error)}: check the arguments after '
            '--ros-args, and ROS_DOMAIN_ID, HOME and ROS_LOG_DIR',
            file=sys.stderr,
        )
        return 1
    node = None
    code = 0
    try:
        node = make_node()
        _spin(node, signals)
    except SystemExit:
        pass
    except Exception as error:
        get_logger(name).fatal(describe(error))
        code = 1
    finally:
        ignore_ending_signals()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    if getattr(node, 'abandoned_thread', False):
        # A thread still hangs in the network's library. An ordinary exit would unload the library
        # under it and crash.
        sys.stdout.flush()
        os._exit(code)
    return code


def _spin(node: Node, signals: int) -> None:
    """Run the node's callbacks until a byte comes from a file descriptor."""
    executor = RobustExecutor(node.get_logger())
    executor.add_node(node)
    ending = threading.Event()

    def wait_for_signal() -> None:
        os.read(signals, 1)
        ending.set()
        executor.wake()

    threading.Thread(target=wait_for_signal, name='signals', daemon=True).start()
    try:
        executor.spin_until(ending.is_set)
    finally:
        executor.remove_node(node)
