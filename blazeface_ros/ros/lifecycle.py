"""A lifecycle node that a wrong request cannot end."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn


class RobustLifecycleNode(LifecycleNode):
    """Refuses a transition that the present state does not have.

    Up to Jazzy, rclpy raises an error for such a request, and the error would end the node. There
    is no hook to catch it, so rclpy's own method is extended by its mangled name.
    """

    def _LifecycleNodeMixin__change_state(  # noqa: N802
        self, transition_id: int
    ) -> TransitionCallbackReturn:
        try:
            return super()._LifecycleNodeMixin__change_state(transition_id)
        except RuntimeError as error:  # RCLError, which rclpy does not export
            self.get_logger().error(f'transition {transition_id} is refused: {error}')
            return TransitionCallbackReturn.FAILURE
