"""Images of single frames of an evaluation: the best, the median and the worst, prediction beside truth."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.draw import draw_bev, overview, put_text
from mapkd_core.evaluation.evaluate import Evaluation
from mapkd_core.evaluation.page import Image, Section, render
from mapkd_core.files import write_atomic
from mapkd_core.frame_sources import Frames
from mapkd_core.metrics.frame_file import FrameRecord
from mapkd_core.types import CLASSES, Frame, MapElement

_TEXT = (225, 228, 235)


@dataclass(frozen=True)
class FrameImage:
    """One frame's image with what to say about it."""

    group: str
    """`best`, `median` or `worst`."""
    token: str
    caption: str
    path: Path


def draw_examples(
    evaluation: Evaluation, folder: Path, frames: Mapping[str, Frame], count: int = 3
) -> list[FrameImage]:
    """Draws the best, median and worst `count` frames to `folder`; with cameras for the frames that `frames` has."""
    images = []
    for group, indices in examples(evaluation, count).items():
        for place, index in enumerate(indices, 1):
            truth, score = evaluation.truths[index], evaluation.scores[index]
            words = ", ".join(truth.conditions)
            caption = f"{100 * score.quality:.1f} % {'mIoU' if score.iou else 'AP'}; {truth.scene} {words}".strip()
            path = folder / f"{group}-{place}.jpg"
            image = _image(evaluation, index, frames.get(truth.token), caption)
            done, jpeg = cv2.imencode(
                ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88]
            )
            assert done
            write_atomic(path, jpeg.tobytes())
            images.append(FrameImage(group, truth.token, caption, path))
    return images


def examples(evaluation: Evaluation, count: int = 3) -> dict[str, list[int]]:
    """Indices of the best, median and worst frames, without repeats."""
    ranked = evaluation.ranked()
    count = min(count, max(len(ranked) // 3, 1))
    middle = max((len(ranked) - count) // 2, 0)
    chosen = {"best": ranked[:count], "median": ranked[middle : middle + count], "worst": ranked[-count:][::-1]}
    seen: set[int] = set()
    unique: dict[str, list[int]] = {}
    for group, indices in chosen.items():
        unique[group] = [i for i in indices if i not in seen]
        seen.update(indices)
    return {group: indices for group, indices in unique.items() if indices}


def find_frames(source: Frames, tokens: set[str]) -> dict[str, Frame]:
    """The frames with these tokens."""
    found: dict[str, Frame] = {}
    for index in range(len(source)):
        if len(found) == len(tokens):
            break
        frame = source[index]
        if frame.token in tokens:
            found[frame.token] = frame
    return found


def write_page(path: Path, title: str, images: list[FrameImage]) -> None:
    """One self-contained HTML page of the images."""
    groups: dict[str, list[Image]] = {}
    for image in images:
        shown = Image(image.path.read_bytes(), "image/jpeg", f"{image.caption} ({image.token})")
        groups.setdefault(image.group, []).append(shown)
    write_atomic(path, render(title, [Section(group, parts) for group, parts in groups.items()]))


def reference_of(truth: FrameRecord) -> list[MapElement]:
    """A frame's true map as it is drawn: crossings as outlines where the truth has them."""
    lines = [e for e in truth.elements if truth.outlines is None or e.label != "ped_crossing"]
    return [*lines, *(truth.outlines or ())]


def glow_of(predicted: FrameRecord) -> NDArray[np.float32] | None:
    """(4, Y, X) predicted classes, 0 or 1, as `draw_bev` lays them under the lines; None for vectors alone."""
    semantic = predicted.semantic
    if semantic is None:
        return None
    return (semantic[None] == np.arange(len(CLASSES) + 1)[:, None, None]).astype(np.float32)


def _image(evaluation: Evaluation, index: int, frame: Frame | None, caption: str) -> NDArray[np.uint8]:
    predicted, truth = evaluation.predictions[index], evaluation.truths[index]
    reference, glow = reference_of(truth), glow_of(predicted)
    if frame is not None:
        images = [view.image.rgb() for view in frame.views]
        return overview(
            images,
            [view.intrinsics for view in frame.views],
            [view.base_from_camera for view in frame.views],
            predicted.elements,
            evaluation.grid,
            truth=reference,
            semantic=glow,
            title=caption,
            names=[view.name for view in frame.views],
        )
    panels = [
        draw_bev(predicted.elements, evaluation.grid, semantic=glow, scores=True),
        draw_bev(reference, evaluation.grid),
    ]
    for name, panel in zip(("prediction", "reference"), panels, strict=True):
        put_text(panel, name, (10, 26), 17, _TEXT)
    return np.concatenate(panels, axis=1)
