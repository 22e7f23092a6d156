"""Runs any network of `model/build.py` on frames, also those that need LiDAR or an SD map (teacher, coach)."""
from __future__ import annotations

import time
from pathlib import Path

import torch

from mapkd_core.artifact import load_model
from mapkd_core.data.dataset import Collate
from mapkd_core.data.frame_sample import SampleOptions, sample_from_frame
from mapkd_core.predictor import PredictedMap
from mapkd_core.runtime import pick_device
from mapkd_core.types import Frame
from mapkd_core.vectorize import VectorizeConfig, vectorize


class BatchPredictor:
    """A network fed as in training: one frame becomes a batch of one, with the inputs that its config names."""

    def __init__(self, path: str | Path, device: str = "auto", vectorize_config: VectorizeConfig | None = None) -> None:
        model, self.card = load_model(path)
        self.device = pick_device(device)
        self.model = model.to(self.device)
        self.vectorize_config = vectorize_config or VectorizeConfig()
        config = getattr(model, "config", None)
        self.options = SampleOptions(
            self.card.grid,
            self.card.input_size,
            lidar=bool(getattr(config, "lidar", False)),
            sd_map=bool(getattr(config, "sd_prior", False)),
            labels=False,
        )
        self._collate = Collate(self.card.grid, labels=False)

    def predict_frame(self, frame: Frame) -> PredictedMap:
        """The map of one frame. Raises ValueError if the frame lacks an input that the network needs."""
        start = time.perf_counter()
        batch = self._collate([sample_from_frame(frame, self.options)]).to(self.device)
        prepared = time.perf_counter()
        with torch.inference_mode():
            probabilities = self.model(batch).semantic[0].float().softmax(0).cpu().numpy()  # 4 Y X
        inferred = time.perf_counter()
        elements = vectorize(probabilities, self.card.grid, config=self.vectorize_config)
        stages = {
            "prepare": prepared - start,
            "network": inferred - prepared,
            "vectorize": time.perf_counter() - inferred,
        }
        return PredictedMap(elements, probabilities, {name: 1e3 * seconds for name, seconds in stages.items()})
