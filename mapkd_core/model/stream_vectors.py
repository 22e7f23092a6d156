"""The vector student with a memory of its drive: frames of a batch that follow one another are decoded in their order.

Trunk, view and BEV network see all frames of a batch at once; what is remembered goes from frame to frame, with
gradients, from the first of a window on. See drive_memory.py.

Legend: B batch, F features, Y X the BEV's rows and columns, L layers, V elements, P vertices.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mapkd_core.grid import BevGrid
from mapkd_core.model.drive_memory import DriveMemory, MemoryFusion
from mapkd_core.model.pillar_vectors import PillarVectorStudent
from mapkd_core.model.vector_config import VectorConfig
from mapkd_core.types import Batch, VectorPrediction


class StreamVectorStudent(PillarVectorStudent):
    """`forward` decodes a batch's frames in their order; `infer` a frame alone."""

    remembers = True
    """That frames have to come in the order of their drive."""

    def __init__(self, grid: BevGrid, image_size: tuple[int, int], config: VectorConfig) -> None:
        super().__init__(grid, image_size, config)
        self.memory = MemoryFusion(self.plane, config.bev_width, config.width, config.memory)

    def forward(self, batch: Batch, memory: DriveMemory | None = None) -> VectorPrediction:  # type: ignore[override]
        """Every layer's elements; `memory` is what the frame left that the batch's first frame follows.

        Without `batch.follows` each frame is alone. Raises ValueError for images of another size.
        """
        features, scales = self._seen(batch)
        fine = scales["fine"]
        follows = [False] * len(fine) if batch.follows is None else batch.follows.tolist()
        left: dict[int, DriveMemory] = {} if memory is None else {-1: memory}
        order: list[int] = []
        parts: list[tuple[Tensor, Tensor, Tensor, Tensor, Tensor]] = []
        for wave in waves(follows):
            before = _gathered([left.get(frame - 1) if follows[frame] else None for frame in wave])
            present, carried = fine[wave], None
            if before is not None:
                assert batch.current_from_previous is not None, "a motion goes with frames that follow"
                known = [follows[frame] and frame - 1 in left for frame in wave]
                motion, here = batch.current_from_previous[wave], torch.tensor(known, device=fine.device)
                present = self.memory.fused(present, before, motion, here)
                carried = self.memory.carried(before, motion, here)
            semantic = self.heads["semantic"](present)
            bev = self.read(present, semantic)
            logits, places, query = self.decoder.decoded(bev, self.decoder.start(), carried=carried)
            points = self.plane.metres(places)
            after = self.memory.kept(present, query, logits[-1], points[-1])
            left.update({frame: _of(after, place) for place, frame in enumerate(wave)})
            parts.append((logits.transpose(0, 1), points.transpose(0, 1), semantic, bev, present))
            order += wave
        back = torch.tensor(order, device=fine.device).argsort()
        logits, points, semantic, bev, fused = (torch.cat(part)[back] for part in zip(*parts, strict=True))
        prediction = VectorPrediction(logits.transpose(0, 1), points.transpose(0, 1))
        prediction.memory = tuple(part.detach() for part in left[len(fine) - 1])
        return self._completed(prediction, bev, semantic, {"image": features, **scales, "fine": fused})


def waves(follows: Sequence[bool]) -> list[list[int]]:
    """Frames that can be decoded together: the first ones of all runs, then the second ones, and so on."""
    found: list[list[int]] = []
    rank = 0
    for frame, after in enumerate(follows):
        rank = rank + 1 if after and frame else 0
        if rank == len(found):
            found.append([])
        found[rank].append(frame)
    return found


def _of(memory: DriveMemory, place: int) -> DriveMemory:
    """Of one frame."""
    return DriveMemory(*(part[place : place + 1] for part in memory))


def _gathered(memories: Sequence[DriveMemory | None]) -> DriveMemory | None:
    """Of several frames, zeros for those without; None if none has any."""
    known = next((memory for memory in memories if memory is not None), None)
    if known is None:
        return None
    blank = DriveMemory(*(torch.zeros_like(part) for part in known))
    return DriveMemory(*(torch.cat(part) for part in zip(*(m or blank for m in memories), strict=True)))
