"""student_node inside the test's process, in a thread of its own, with a predictor that the test controls."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import rclpy
from camera_bench import CameraBench
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

from mapkd_core.artifact import ModelCard
from mapkd_core.cameras.rig import CameraRig
from mapkd_core.cameras.rig_file import load_rig
from mapkd_core.data.images import decode
from mapkd_core.grid import BevGrid
from mapkd_core.predictor import CameraError, PredictedMap
from mapkd_core.types import MapElement
from mapkd_ros.node.mapping import Mapping
from mapkd_ros.node.mapping_node import MappingNode


def line(y_m: float, score: float = 0.9) -> MapElement:
    x = np.linspace(-20, 20, 5)
    return MapElement("divider", np.stack([x, np.full(5, y_m)], 1).astype(np.float32), score)


class Predictor:
    """Keeps what it is given, answers with `elements`, and waits for `go_on` where a test wants a slow network."""

    card = ModelCard("scripted", "1.0", "student", {}, BevGrid(), (80, 45))
    device, engine = "cpu", "torch fp32"

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.elements = [line(0.0)]
        self.error: Exception | None = None
        self.go_on = threading.Event()
        self.go_on.set()

    own_cameras: tuple[str, ...] = ()
    decodes = False
    """Whether it looks at its images, as a real one does."""

    def camera_order(self, names):
        return list(range(len(names)))

    def prepare(self, images, intrinsics, base_from_camera, image_sizes=None, masks=None):
        self.calls.append((images, intrinsics, base_from_camera, image_sizes))
        self.masks = masks
        for camera, image in enumerate(images if self.decodes else ()):
            try:
                decode(image)
            except ValueError as error:
                raise CameraError(camera, str(error)) from error
        return SimpleNamespace(faults=())

    def complete(self, prepared) -> PredictedMap:
        assert self.go_on.wait(20)
        if self.error is not None:
            raise self.error
        probabilities = np.zeros((4, *self.card.grid.shape), np.float32)
        return PredictedMap(list(self.elements), probabilities, {"network": 1.0})


class Setup:
    """A node in a thread of its own, its predictor, and the bench around it."""

    def __init__(
        self,
        context: rclpy.Context,
        transport: str,
        reliable: bool,
        rig: CameraRig | None,
        parameters: dict[str, object],
    ) -> None:
        self.predictor = Predictor()
        given = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = MappingNode(lambda values: self.predictor, context=context, parameter_overrides=given)
        if self.node.values["autostart"]:
            self.node.start()
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()
        self.bench = CameraBench(context, transport, reliable, rig)
        self.bench.taken = lambda camera: self.mapping._inputs[camera].rate.count

    @property
    def mapping(self) -> Mapping:
        """What the node does while it is active."""
        assert self.node.mapping is not None
        return self.node.mapping

    def ready(self) -> CameraBench:
        """Waits for discovery, then sends calibrations and mountings."""
        bench = self.bench
        senders = [*bench.images.values(), *bench.infos.values(), bench.tf_static]
        assert bench.wait(lambda: all(sender.get_subscription_count() for sender in senders))
        bench.send_calibration()
        bench.send_mountings()
        bench.send_set()
        assert bench.wait(lambda: "no map" not in bench.status["student_node: map"].message if bench.status else False)
        return bench

    def listened(self) -> CameraBench:
        """The same with a listener to all outputs, which the node has discovered."""
        bench = self.ready()
        bench.listen()
        outputs = self.mapping._outputs.maps
        assert bench.wait(lambda: all(output.get_subscription_count() for output in outputs))
        return bench

    def close(self) -> None:
        self.predictor.go_on.set()
        self.executor.shutdown()
        self.thread.join(5)
        self.node.close()
        self.bench.close()
        self.node.destroy_node()


@contextmanager
def setups() -> Iterator[Callable[..., Setup]]:
    """make(transport, reliable, rig_file, **parameters) starts a node with a bench around it."""
    context = rclpy.Context()
    rclpy.init(context=context)
    made: list[Setup] = []

    def make(
        transport: str = "compressed", reliable: bool = True, rig_file: Path | None = None, **parameters: object
    ) -> Setup:
        values = {"image_transport": transport, "diagnostics_period": 0.1, "window_ms": 40.0, **parameters}
        if rig_file:
            values["rig"] = str(rig_file)
        made.append(Setup(context, transport, reliable, load_rig(rig_file) if rig_file else None, values))
        return made[-1]

    yield make
    for one in made:
        one.close()
    rclpy.shutdown(context=context)
