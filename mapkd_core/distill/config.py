"""Configuration of a distillation run: a training run, and who teaches it how."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mapkd_core.config import PRECISIONS, TrainConfig


@dataclass(frozen=True)
class DistillConfig(TrainConfig):
    """A training run of a student (or a coach) that imitates frozen networks. `mapkd distill --config FILE`."""

    teacher: str = ""
    """Folder of a training run, or an artifact's card (.json)."""
    more_teachers: tuple[str, ...] = ()
    """Further teachers of any kind: the mean of all teachers' logits is taught; inner features are the first one's."""
    coach: str = ""
    """The same for the second, camera-only teacher of methods that have one; empty for none."""
    teacher_precision: str = ""
    """In which teachers and coach compute, as `precision`; empty: in that of the run. They are only read, so that
    bf16-mixed costs nothing but their answers' last digits, and about halves their time where the processor has it."""
    method: str = "none"
    """Key of distill/methods.py METHODS."""
    method_options: dict[str, Any] = field(default_factory=dict)
    """Overrides of the method's own config: weights `..._weight` and settings."""
    pseudo_labels: bool = True
    """On frames of `data.unlabelled` the map that the teacher draws counts like labels; without, the task losses leave
    those frames out, and only the method's terms, which see the drawn map in any case, teach there."""
    pseudo_confidence: float = 0.0
    """On those frames, cells whose likeliest class the teacher gives less than this probability have no label: the task
    losses leave them out. 0: all cells count."""
    calibrate_steps: int = 0
    """Over so many first steps the gradients of distillation and task are compared at the deepest distilled feature;
    where their ratio leaves 0.1..1, all weights of the method get one factor that makes it 0.3. 0: as published."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.calibrate_steps < 0:
            raise ValueError(f"calibrate_steps is {self.calibrate_steps}; expected 0 (never) or a number of steps")
        if self.teacher_precision not in ("", *PRECISIONS):
            raise ValueError(
                f"teacher_precision is {self.teacher_precision!r}; expected one of {', '.join(PRECISIONS)}, or nothing "
                "for that of the run"
            )
        if self.calibrate_steps and self.precision == "16-mixed":
            raise ValueError(
                "calibrate_steps compares gradients, which precision 16-mixed has only of scaled losses; use "
                "bf16-mixed, 32-true or calibrate_steps: 0"
            )
        if not 0 <= self.pseudo_confidence < 1:
            raise ValueError(f"pseudo_confidence is {self.pseudo_confidence}; expected 0 (all cells) to below 1")
        if self.method != "none" and not self.teacher:
            raise ValueError(f"method {self.method!r} needs a teacher: the folder of a training run, or a card (.json)")
        if self.data.unlabelled and self.pseudo_labels and not self.teacher:
            raise ValueError("pseudo_labels need a teacher that draws them; name one, or set pseudo_labels: false")
