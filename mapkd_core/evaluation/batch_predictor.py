"""Runs any network of `model/build.py` on frames, also those that need LiDAR or an SD map (teacher, coach)."""
from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mapkd_core.artifact import ModelCard
from mapkd_core.data.cache_record import CachedFrame
from mapkd_core.data.dataset import Collate
from mapkd_core.data.drive_order import FramePose, current_from_previous
from mapkd_core.data.frame_sample import SampleOptions, sample_from_frame
from mapkd_core.data.lidar import POINTS_FOR_NETWORK
from mapkd_core.data.sample import Sample
from mapkd_core.model.drive_memory import DriveMemory
from mapkd_core.predictor import PredictedMap, camera_order
from mapkd_core.runtime import pick_device
from mapkd_core.training.trained import load_trained
from mapkd_core.types import Batch, Frame, MapElement, Prediction, VectorPrediction
from mapkd_core.vector_elements import drawn, elements_of
from mapkd_core.vectorizer.vectorize import VectorizeConfig, vectorize


class BatchPredictor:
    """A network fed as in training: frames become a batch with the inputs that the network's config names.

    `weights` is an artifact's card, the folder of a training run, or a network with its card.
    """

    def __init__(
        self,
        weights: str | Path | tuple[nn.Module, ModelCard],
        device: str = "auto",
        vectorize_config: VectorizeConfig | None = None,
    ) -> None:
        model, self.card = weights if isinstance(weights, tuple) else load_trained(weights)
        self.device = pick_device(device)
        self.model = model.to(self.device).eval()
        self.vectorize_config = vectorize_config or VectorizeConfig()
        self.cameras = self.card.cameras if getattr(model, "rig_bound", False) else ()
        config = getattr(model, "config", None)
        self.options = SampleOptions(
            self.card.grid,
            self.card.input_size,
            lidar=bool(getattr(config, "lidar", False)),
            sd_map=bool(getattr(config, "sd_prior", False)),
            labels=False,
            lidar_pose=getattr(config, "frame", "") == "nuscenes_lidar",
        )
        trained_with = self.card.training.get("config", {}).get("data", {})
        points = int(trained_with.get("lidar_points", POINTS_FOR_NETWORK))
        self._collate = Collate(self.card.grid, labels=False, lidar_points=points)
        self.in_order = bool(getattr(model, "remembers", False))
        """Whether frames must come in the order of their drive, one after the other: the network has a memory."""
        self.least_score = 0.0
        """Elements of a vector network below this are left out; 0 for scoring, since AP ranks all."""
        self._last: FramePose | None = None
        self._memory: DriveMemory | None = None

    def predict_frame(self, frame: Frame) -> PredictedMap:
        """The map of one frame; a network with a memory remembers the frame before if this one follows it.

        Raises ValueError if the frame lacks an input that the network needs, or is of cameras that its weights do not
        belong to.
        """
        start = time.perf_counter()
        sample = sample_from_frame(frame, self.options)
        read = time.perf_counter()
        output = self._outputs([sample])[0]
        inferred = time.perf_counter()
        elements, probabilities = self._map_of(*output)
        stages = {
            "prepare": read - start,
            "network": inferred - read,
            "vectorize": time.perf_counter() - inferred,
        }
        return PredictedMap(elements, probabilities, {name: 1e3 * seconds for name, seconds in stages.items()})

    def predict_cached(self, frames: Sequence[CachedFrame]) -> list[PredictedMap]:
        """The maps of some cached frames, run as one batch; no latencies, since a batch's are not a frame's.

        A network with a memory sees them one after the other.

        Raises ValueError if the cache lacks an input that the network needs, or holds smaller images than it sees.
        """
        outputs = self._outputs([frame.sample(self.options) for frame in frames])
        return [PredictedMap(*self._map_of(*output)) for output in outputs]

    def _outputs(self, samples: Sequence[Sample]) -> list[tuple[NDArray[np.float32], ...]]:
        """Of each sample: (4, Y, X) probabilities; of a vector network, (V, 3) scores and (V, P, 2) vertices."""
        if self.in_order and len(samples) > 1:
            return [output for sample in samples for output in self._outputs([sample])]
        with torch.inference_mode():
            batch = self._collate([self._by_camera(sample) for sample in samples]).to(self.device)
            prediction = self._remembering(batch, samples[0]) if self.in_order else self.model(batch)
            parts = [prediction.semantic.float().softmax(1)] if isinstance(prediction, Prediction) else [
                prediction.logits[-1].float().sigmoid(), prediction.points_m[-1]
            ]
            return list(zip(*(part.cpu().numpy() for part in parts), strict=True))

    def _remembering(self, batch: Batch, sample: Sample) -> VectorPrediction:
        """The prediction for a batch of one sample, with what the one before left if it follows that one."""
        motion = current_from_previous(self._last, sample)
        batch.follows = torch.tensor([motion is not None])
        pose = np.eye(4) if motion is None else motion
        batch.current_from_previous = torch.from_numpy(pose[None]).float().to(self.device)
        prediction: VectorPrediction = self.model(batch, None if motion is None else self._memory)
        assert prediction.memory is not None
        self._last, self._memory = FramePose.of(sample), DriveMemory(*prediction.memory)
        return prediction

    def _by_camera(self, sample: Sample) -> Sample:
        """Its cameras in the order of the weights, where these belong to a rig; ValueError for other cameras."""
        if not self.cameras or not sample.cameras or sample.cameras == self.cameras:
            return sample
        order = camera_order(self.card.name, self.cameras, sample.cameras)
        return replace(
            sample, images=sample.images[order], intrinsics=sample.intrinsics[order],
            base_from_camera=sample.base_from_camera[order], cameras=self.cameras,
        )  # fmt: skip

    def _map_of(
        self, first: NDArray[np.float32], points_m: NDArray[np.float32] | None = None
    ) -> tuple[list[MapElement], NDArray[np.float32]]:
        """Elements and class probabilities."""
        if points_m is None:
            return vectorize(first, self.card.grid, config=self.vectorize_config), first
        elements = elements_of(first, points_m, self.least_score)
        return elements, drawn(elements, self.card.grid)
