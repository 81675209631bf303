"""An executor that no message and no request of another node can end."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from rclpy.executors import (
    ConditionReachedException,
    ExternalShutdownException,
    SingleThreadedExecutor,
)

from blazeface_ros.errors import BlazeFaceError, describe

#: Seconds between two log lines about callbacks that failed.
FAILURE_PERIOD_S = 5.0


class RobustExecutor(SingleThreadedExecutor):
    """Goes on when a callback fails.

    rclpy's own callbacks raise errors for some requests and messages, such as a parameter of an
    unknown type, a negative time on /clock, or an image for which there is no memory. In rclpy's
    executor such an error ends the program. Here it costs the one request or message, which is
    logged and counted.

    Args:
        logger: of the node that is run.

    Attributes:
        failures: how many callbacks have failed so far.
    """

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self.failures = 0
        self._logger = logger

    def spin_until(self, is_ending: Callable[[], bool]) -> None:
        """Run callbacks until the program or its context should end.

        Args:
            is_ending: whether the program should end. Wake the executor after that has changed.

        Raises:
            BlazeFaceError: if one of this package's callbacks says that the node cannot go on.
            SystemExit: if one of them ends the program.
        """
        while self.context.ok() and not is_ending():
            try:
                task, entity, _ = self.wait_for_ready_callbacks(None, None, is_ending)
            except (ConditionReachedException, ExternalShutdownException):
                return
            task()
            error = task.exception()
            if isinstance(error, BlazeFaceError):
                raise error
            if error is not None:
                self._count(entity, error)

    # rclpy never waits again for what it failed to take, nor for anything else of the same
    # callback group. So a failure must not leave these methods. None stands for nothing to do.

    def _take_subscription(self, subscription: Any) -> Any:
        return self._take(super()._take_subscription, subscription)

    def _take_service(self, service: Any) -> Any:
        return self._take(super()._take_service, service)

    def _take(self, take: Callable[[Any], Any], entity: Any) -> Any:
        try:
            return take(entity)
        except Exception as error:  # also MemoryError, for a message that is too large
            self._count(entity, error)
            return None

    def _count(self, entity: Any, error: BaseException) -> None:
        self.failures += 1
        name = getattr(entity, 'topic', None) or getattr(entity, 'srv_name', None)
        source = f"a message or request on '{name}'" if name else 'a callback'
        place = traceback.extract_tb(error.__traceback__)[-1]
        self._logger.error(
            f'{source} is left out ({self.failures} so far): {describe(error)} '
            f'(line {place.lineno} of {place.filename})',
            throttle_duration_sec=FAILURE_PERIOD_S,
        )
