"""Life-cycle callbacks that say what went wrong: rclpy drops their exceptions without a word."""
from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any

from rclpy._rclpy_pybind11 import RCLError
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

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
