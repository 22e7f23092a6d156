"""The training objective of a student that imitates frozen networks: its task losses and the method's terms."""
from __future__ import annotations

from dataclasses import asdict, replace

import torch
from torch import Tensor, nn

from mapkd_core.distill.calibration import Calibration
from mapkd_core.distill.config import DistillConfig
from mapkd_core.distill.frozen import FrozenNetworks
from mapkd_core.distill.interface import DistillStep, Method, Networks
from mapkd_core.distill.methods import build_method, method_class
from mapkd_core.distill.probe import probe_step
from mapkd_core.distill.regions import Regions
from mapkd_core.distill.taps import tap
from mapkd_core.losses import weigh, where_known
from mapkd_core.types import Batch, Prediction
from mapkd_core.vector_loss.terms import map_terms


class DistillObjective:
    """Task losses plus a method's."""

    def __init__(self, config: DistillConfig, frozen: FrozenNetworks) -> None:
        """`frozen` may lack a teacher for the method `none` alone, and be shared by several students."""
        self.config, self._frozen = config, frozen
        self._distils = frozen.teacher is not None and config.method != "none"
        self._draws = self._distils or (frozen.teacher is not None and config.pseudo_labels)
        self.modules: nn.Module = nn.Module()

    def prepare(self, network: nn.Module) -> None:
        """Makes the train-only modules for the shapes of these networks; the student's own weights stay as drawn."""
        config = self.config
        # A generator of its own: the student starts the same, and its data come the same, under every method.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed + 1)
            modules = {"calibration": nn.Module(), "method": nn.Module()}
            modules["calibration"] = Calibration(config.calibrate_steps)
            if self._distils:
                teacher = self._frozen.teacher
                assert teacher is not None
                probe = _as_read(probe_step(config, network, teacher, self._frozen.coach), method_class(config.method))
                networks = Networks(probe, teacher, config.grid, config.steps, config.loss, network)
                method = build_method(config.method, networks, config.method_options)
                method.prepare_student(network, teacher)
                modules["method"] = method
                modules["calibration"] = Calibration(config.calibrate_steps, again=method.whole_from())
            self.modules = nn.ModuleDict(modules)

    def ask(self, batch: Batch) -> tuple[Prediction, Prediction | None] | None:
        """What teacher and coach, as far as the method listens to them, say to a batch; None without a method.

        All that the frozen networks do for a step is done here; `terms` finds it done.
        """
        if self._draws:
            self._frozen.with_drawn_labels(batch)
        if not self._distils:
            return None
        method: Method = self.modules["method"]  # type: ignore[index,assignment]
        return self._frozen.answers(batch, method.asks_coach())

    def terms(self, prediction: Prediction, batch: Batch, step: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Task terms by their names, the method's as `kd_NAME`, and the calibration's factor with weight 0."""
        answers = self.ask(batch)
        labelled = self._frozen.with_drawn_labels(batch) if self._draws else batch
        shown = self._where_sure(batch, labelled) if self.config.pseudo_labels else batch
        given = prediction  # where the network's own arithmetic goes on from: gradients are compared there
        prediction = given.in_single_precision()
        terms = map_terms(where_known(prediction, shown), shown, self.config.loss, self.config.grid)
        weights: dict[str, float] = asdict(self.config.loss)
        if answers is None:
            return terms, weights
        method: Method = self.modules["method"]  # type: ignore[index,assignment]
        calibration: Calibration = self.modules["calibration"]  # type: ignore[index,assignment]
        teacher, coach = answers
        regions = Regions(labelled, self.config.grid)
        seen = _as_read(DistillStep(prediction, teacher, coach, labelled, regions, step), type(method))
        taught = method.terms(seen)
        published = method.weights()
        calibration.settle(step)
        if taught and calibration.wants(step):
            pulled = tap(_as_read(replace(seen, student=given), type(method)).student, method.calibration_tap)
            calibration.measure(step, pulled, weigh(taught, published), weigh(terms, weights))
        factor = float(calibration.factor)
        for name, term in taught.items():
            terms[f"kd_{name}"], weights[f"kd_{name}"] = term, factor * published[name]
        if self.config.calibrate_steps and taught:
            terms["calibration_factor"], weights["calibration_factor"] = calibration.factor.detach().clone(), 0.0
        if any(p.requires_grad for p in method.parameters()):
            terms["kd_all_used"], weights["kd_all_used"] = _touch(method), 1.0
        return terms, weights


    def _where_sure(self, batch: Batch, labelled: Batch) -> Batch:
        """The labels without those that the teacher drew in cells of which it is not sure."""
        if batch.labelled is None or not self.config.pseudo_confidence:
            return labelled
        teacher, _ = self._frozen.answers(batch, ask_coach=False)
        sure = teacher.semantic.float().softmax(1).amax(1) >= self.config.pseudo_confidence      # B Y X
        known = sure | batch.labelled[:, None, None]
        if labelled.known_cells is not None:
            known = known & labelled.known_cells
        assert labelled.semantic is not None
        nothing = torch.zeros_like(labelled.semantic)
        nothing[:, 0] = 1
        return replace(labelled, known_cells=known, semantic=torch.where(known[:, None], labelled.semantic, nothing))


def _as_read(step: DistillStep, method: type[Method]) -> DistillStep:
    """The step as the method reads it: vertices, or maps alone."""
    return step if method.vectors else step.dense()


def _touch(module: nn.Module) -> Tensor:
    """Zero, with a gradient of zero on every parameter.

    A batch without lines skips terms; processes that average gradients must all hold one for the same parameters.
    """
    return torch.stack([p.sum() * 0 for p in module.parameters() if p.requires_grad]).sum()
