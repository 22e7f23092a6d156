"""Declares a node's ROS parameters from one table, so that each has one name, default, description and range."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mapkd_core.suggestion import did_you_mean, renamed_notice

if TYPE_CHECKING:
    from rclpy.node import Node

Value = bool | int | float | str | list[str]
OWN_TO_ROS = ("use_sim_time", "qos_overrides", "start_type_description_service")
"""Parameters that ROS itself declares on every node; tables do not list them."""


@dataclass(frozen=True)
class Parameter:
    """One row of a node's parameter table."""

    name: str
    default: Value
    """Also fixes the type. A list of strings must not be empty, because ROS cannot tell the type of an empty list."""
    description: str
    """One sentence with the unit; `ros2 param describe` shows it."""
    range: tuple[float, float] | None = None
    """Smallest and largest number allowed, both inclusive."""
    choices: tuple[str, ...] = ()
    """The strings allowed; for a list, those its entries may be."""
    read_only: bool = True
    """False: `ros2 param set` may change it while the node runs."""
    frame: bool = False
    """It names a frame."""
    former_name: str = ""
    """Its name in an older version, which a user may still give."""
    former_words: Mapping[str, str] = field(default_factory=dict)
    """What may be given under that name -> today's value."""

    def checked(self, value: object) -> Value:
        """The value in the default's type (3 becomes 3.0 for a float). Raises ValueError when it does not fit."""
        wanted = type(self.default)
        if wanted is float and type(value) is int:
            value = float(value)
        if wanted is str and type(value) is bool and str(value).lower() in self.choices:
            value = str(value).lower()  # YAML reads the word `true` as something else
        if wanted is list and isinstance(value, Sequence) and not isinstance(value, str):
            value = list(value)
        if type(value) is not wanted:
            raise self._unfit(value, f"a value of type {wanted.__name__}")
        if isinstance(value, list) and not (value and all(isinstance(entry, str) for entry in value)):
            raise self._unfit(value, "a list of at least one string")
        if self.range is not None and not self.range[0] <= value <= self.range[1]:  # type: ignore[operator]
            raise self._unfit(value, f"{self.range[0]:g} to {self.range[1]:g}")
        if self.frame and (not value or value != "".join(value.split()).lstrip("/")):  # type: ignore[union-attr]
            raise self._unfit(value, "the name of a frame, without a leading slash")
        entries = value if isinstance(value, list) else [value]
        if self.choices and not all(entry in self.choices for entry in entries):
            raise self._unfit(value, " or ".join(repr(choice) for choice in self.choices))
        return value  # type: ignore[return-value]

    def _unfit(self, value: object, expectation: str) -> ValueError:
        return ValueError(f"parameter {self.name} is {value!r}; expected {expectation}: {self.description}")


def check_names(given: Sequence[str], table: Sequence[Parameter]) -> None:
    """Raises ValueError for a name that is not in the table and names the nearest one that is."""
    known = [row.name for row in table]
    for name in given:
        if name not in known and name.split(".")[0] not in OWN_TO_ROS:
            hint = did_you_mean(name, known, "; ") or f"; there are: {', '.join(known)}"
            raise ValueError(f"unknown parameter {name!r}{hint}")


def with_new_names(
    given: Mapping[str, object], table: Sequence[Parameter], notice: Callable[[str], object]
) -> dict[str, object]:
    """The values that were given, under the names of today; `notice` gets a line for each that has an old one.

    Raises ValueError where one is given under both.
    """
    values = dict(given)
    for row in table:
        if not row.former_name or row.former_name not in values:
            continue
        if row.name in values:
            raise ValueError(f"parameters {row.former_name} and {row.name} are the same; give only {row.name}")
        old = values.pop(row.former_name)
        values[row.name] = new = row.former_words.get(str(old), old)
        notice(renamed_notice(f"parameter {row.former_name}:={old}", f"{row.name}:={new}"))
    return values


def help_text(purpose: str | None, table: Sequence[Parameter]) -> str:
    """What `--help` prints: what the node is for, and its parameters with their defaults."""
    rows = [f"  {row.name:<22}{row.description} [{row.default!r}]" for row in table]
    return f"{purpose}\nParameters [default]:\n" + "\n".join(rows)


def declare(
    node: Node, table: Sequence[Parameter], why_fixed: Callable[[], str] | None = None
) -> Mapping[str, Any]:
    """Declares the table on the node and returns name -> value, kept up to date when a user changes a value.

    Read-only rows stay as they are at start; with `why_fixed` they may be changed too while it returns nothing, and
    else are refused with what it returns.

    A value from YAML or `-p` overrides the default. Raises ValueError, fit to be shown to the user, for an unknown
    name (ROS itself would ignore a misspelt one in silence), a wrong type, or a value outside its range.
    """
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult

    given = {name: override.value for name, override in getattr(node, "_parameter_overrides", {}).items()}
    overrides = with_new_names(given, table, node.get_logger().warning)
    check_names(list(overrides), table)
    values: dict[str, Any] = {}
    rows = {row.name: row for row in table}
    for row in table:
        descriptor = ParameterDescriptor(description=row.description, read_only=row.read_only and why_fixed is None)
        # ROS would refuse `2` for 2.0, which it takes at start; `checked` knows the type.
        descriptor.dynamic_typing = isinstance(row.default, float)
        if row.choices:
            descriptor.additional_constraints = "one of: " + ", ".join(row.choices)
        if row.range is not None and isinstance(row.default, float):
            low, high = row.range
            descriptor.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
        elif row.range is not None:
            low, high = row.range
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
        values[row.name] = row.checked(overrides.get(row.name, row.default))
        # The override is already in the value: checked, and an integer given for a float is converted.
        node.declare_parameter(row.name, values[row.name], descriptor, ignore_override=True)

    def on_set(changes: list) -> SetParametersResult:
        fixed = [change.name for change in changes if change.name in rows and rows[change.name].read_only]
        reason = why_fixed() if why_fixed is not None and fixed else ""
        if reason:
            return SetParametersResult(successful=False, reason=f"parameter {fixed[0]}: {reason}")
        try:
            fit = {change.name: rows[change.name].checked(change.value) for change in changes if change.name in rows}
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        values.update(fit)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(on_set)
    return values
