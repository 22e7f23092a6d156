"""Life-cycle nodes that say what went wrong in a transition: rclpy drops their callbacks' exceptions without a word."""
from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any

from rclpy._rclpy_pybind11 import RCLError
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

USERS = (ValueError, OSError, ImportError)
"""What a user can mend; everything else is a fault of this package, and logged with its traceback."""
_FAILURE = "_transition_failure"

Callback = Callable[[Any, LifecycleState], None]
Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def told(action: str, forget: bool = True) -> Callable[[Callback], Transition]:
    """Makes a life-cycle callback of a method that raises: the node stays as it was where a user can mend the reason.

    The reason is logged, unless the node's `raises` is set: then whoever triggered the transition raises it. With
    `forget` the reason of an earlier failure is no longer kept.
    """

    def wrap(callback: Callback) -> Transition:
        @wraps(callback)
        def transition(node: Any, state: LifecycleState) -> TransitionCallbackReturn:
            if forget:
                setattr(node, _FAILURE, None)
            try:
                callback(node, state)
            except USERS as error:
                _keep(node, error, f"cannot {action}: {' '.join(str(error).split())}")
                return TransitionCallbackReturn.FAILURE
            except Exception as error:
                _keep(node, error, f"cannot {action}: {type(error).__name__}: {error}\n{traceback.format_exc()}")
                return TransitionCallbackReturn.ERROR
            return TransitionCallbackReturn.SUCCESS

        return transition

    return wrap


def failure_of(node: Any) -> Exception | None:
    """What went wrong in the node's last transition; None if nothing did."""
    failure = getattr(node, _FAILURE, None)
    return failure if isinstance(failure, Exception) else None


class ToldNode(LifecycleNode):
    """A life-cycle node whose transitions, made with `told`, log or raise why they failed.

    Its callbacks set `stage` to where they have brought it; parameters are declared with `why_fixed`.
    """

    def __init__(self, name: str, **node_arguments: Any) -> None:
        super().__init__(name, **node_arguments)
        self._service_change_state.callback = refusing(self._service_change_state.callback)
        self.raises = False
        """What goes wrong in a transition is raised by `start`, not logged."""
        self.stage = "unconfigured"

    def start(self) -> None:
        """Configures and activates it. Raises what went wrong in that."""
        self.raises = True
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != TransitionCallbackReturn.SUCCESS:
                raise failure_of(self) or RuntimeError(f"the node could not be started: it is {self.stage}")
        self.raises = False

    def destroy_node(self) -> None:
        """Also lets go of the state machine: rclpy forgets it, and the node would stay on the graph."""
        self._state_machine.destroy_when_not_in_use()
        super().destroy_node()

    def why_fixed(self) -> str:
        """Why parameters that are read at configuration cannot be set now; empty if they can."""
        if self.stage in ("unconfigured", "finalized"):
            return ""
        name = self.get_fully_qualified_name()
        return f"it is read when the node is configured: deactivate and clean up {name} first, or restart it"


def _keep(node: Any, error: Exception, text: str) -> None:
    setattr(node, _FAILURE, error)
    if not node.raises:
        node.get_logger().error(text)


def refusing(change_state: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The service's callback, which answers a transition that the state does not have with no.

    Jazzy's rclpy raises it out of the executor, and the node would end.
    """

    def answered(request: Any, response: Any) -> Any:
        try:
            return change_state(request, response)
        except RCLError:
            response.success = False
            return response

    return answered
