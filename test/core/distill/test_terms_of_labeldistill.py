"""LabelDistill: what the encoder sees and learns from, which third of the student learns what, and when."""
import numpy as np
import pytest
import torch
from hand_step import LINES, LOSS, Hand, SmallTeacher, cells_of, prediction_by_hand
from slow_math import (
    array,
    block_max,
    block_mean,
    class_entropy,
    cross_entropy,
    direction_loss,
    embedding_losses,
    sigmoid,
)
from slow_regions import foreground, heat

from mapkd_core.distill.labeldistill import LabelEncoder, label_planes
from mapkd_core.types import CLASSES


@pytest.fixture(params=[True, False], ids=["SD prior", "no prior"])
def hand(request):
    return Hand(network=SmallTeacher(request.param).requires_grad_(False).eval())


def decoded(hand, method):
    """The encoder's code and the teacher's decoder's reading of it, as the step computes them."""
    code = method.encoder(label_planes(hand.batch, hand.step().regions.distance_m))
    teacher = hand.network
    grown = teacher.sd_prior.grow(code) if hasattr(teacher, "sd_prior") else torch.nn.functional.interpolate(
        code, size=(16, 24), mode="bilinear", align_corners=False
    )
    return code, teacher.encode(grown)


def masked(student, target, mask):
    return (((student - target) ** 2).sum(1) * mask[:, 0]).sum() / mask.sum()


def test_the_label_planes():
    hand = Hand()
    planes = array(label_planes(hand.batch, hand.step().regions.distance_m))
    expected = np.zeros((2, 9, 16, 24))
    expected[:, :4] = array(hand.batch.semantic)
    expected[:, 6:] = 1.0
    for sample, drawn in enumerate(LINES):
        for number, (_, vertices) in enumerate(drawn, 1):
            for row, col in cells_of(vertices):
                angle = np.radians(10 * 2 * number)  # bin 1 + 2 number, ten degrees each, bin 1 along x
                expected[sample, 4:6, row, col] = np.cos(2 * angle), np.sin(2 * angle)
        for c, label in enumerate(CLASSES):
            cells = [cell for name, vertices in drawn if name == label for cell in cells_of(vertices)]
            for row, col in np.ndindex(16, 24):
                metres = [0.5 * np.hypot(row - r, col - k) for r, k in cells]
                expected[sample, 6 + c, row, col] = min(min(metres, default=3.0), 3.0) / 3.0
    np.testing.assert_allclose(planes, expected, atol=1e-5)


def test_every_term(hand):
    method = hand.method("labeldistill", encoder_steps=8)
    with torch.no_grad():
        code, drawn = decoded(hand, method)
    terms = method.terms(hand.step(8))
    label, teacher = 0.0, 0.0
    for name, target, size in (("bev_small", code, (2, 3)), ("up1", drawn.taps["up1"], (8, 12))):
        mine, theirs = array(hand.student.taps[name]), array(hand.teacher.taps[name])
        third = mine.shape[1] // 3
        with torch.no_grad():
            to_label = method.from_label[name](torch.from_numpy(block_mean(mine[:, :third], size)).float())
            to_teacher = method.from_teacher[name](torch.from_numpy(mine[:, third : 2 * third]).float())
        label += masked(array(to_label), array(target), block_max(foreground(), size))
        near = block_mean(heat().max(1, keepdims=True), theirs.shape[-2:])
        teacher += masked(array(to_teacher), theirs, near)
    target = sigmoid(array(hand.teacher.semantic)[:, 1:]) * heat()
    variance, distance = embedding_losses(array(drawn.embedding), hand.batch.instance.numpy())
    positive = [3.0] + [3.0 * w for w in LOSS.class_weight]
    task = class_entropy(array(drawn.semantic), array(hand.batch.semantic), positive)
    task += 0.1 * (variance + distance + direction_loss(array(drawn.direction), hand.batch.direction.numpy()))
    expected = {
        "label": label, "teacher": teacher, "encoder": task,
        "response": cross_entropy(array(hand.student.semantic)[:, 1:], target).mean(),
    }
    assert {n: t.item() for n, t in terms.items()} == pytest.approx(expected, rel=1e-3)


def test_the_first_third_learns_from_labels_the_second_from_the_teacher_the_last_is_free(hand):
    terms = hand.method("labeldistill", encoder_steps=0).terms(hand.step())
    for term, taught in (("label", 0), ("teacher", 1)):
        for name, third in (("bev_small", 2), ("up1", 2)):
            (gradient,) = torch.autograd.grad(terms[term], hand.student.taps[name], retain_graph=True)
            felt = {channel // third for channel in range(gradient.shape[1]) if gradient[:, channel].any()}
            assert felt == {taught}, (term, name)
    both = {"student.bev_small", "student.up1"}
    assert {n: hand.reached(t) for n, t in terms.items()} == {
        "label": both, "teacher": both, "response": {"student.semantic"}, "encoder": set()
    }


def test_the_code_is_a_target_and_learns_from_the_task_alone(hand):
    method = hand.method("labeldistill", encoder_steps=0)
    terms = method.terms(hand.step())
    encoder = list(method.encoder.parameters())
    for name, term in terms.items():
        gradients = torch.autograd.grad(term, encoder, retain_graph=True, allow_unused=True)
        learned = [g is not None and bool(g.abs().sum() > 0) for g in gradients]
        assert sum(learned) > 0.7 * len(learned) if name == "encoder" else not any(learned), name


@pytest.mark.parametrize("halvings", [3, 2])
def test_the_code_is_normalised_over_the_channels_of_each_cell(halvings):
    """Cell by cell, so that what a code says of a place does not depend on what lies elsewhere in the map."""
    torch.manual_seed(1)
    encoder = LabelEncoder(6, halvings).eval()
    planes = torch.randn(2, 9, 16, 24, generator=torch.Generator().manual_seed(2))
    code, raw = encoder(planes), encoder.net(planes)
    assert code.shape == (2, 6, 16 // 2**halvings, 24 // 2**halvings)
    apart = array(raw) - array(raw).mean(1, keepdims=True)
    expected = apart / np.sqrt((apart**2).mean(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(array(code), expected, rtol=1e-4, atol=1e-5)
    strided = [m for m in encoder.net if isinstance(m, torch.nn.Conv2d)][:halvings]
    assert [(m.kernel_size, m.stride, m.padding) for m in strided] == [((4, 4), (2, 2), (1, 1))] * halvings


def test_lessons_from_labels_begin_after_the_encoders_steps(hand):
    method = hand.method("labeldistill", encoder_steps=8)
    values = {number: method.terms(hand.step(number))["label"].item() for number in (0, 7, 8, 9)}
    assert values[0] == values[7] == 0 < values[8] == values[9]
    assert method.terms(hand.step(0))["teacher"] > 0 and method.whole_from() == 8


def test_the_decoder_stays_the_teachers(hand):
    method = hand.method("labeldistill")
    assert not {id(p) for p in method.parameters()} & {id(p) for p in hand.network.parameters()}
    with pytest.raises(ValueError, match="labeldistill needs a teacher with a BevEncode, Module has none"):
        Hand().method("labeldistill")


def test_too_narrow_a_student_is_refused():
    hand = Hand(student=prediction_by_hand(1, bev_small=2), network=SmallTeacher().requires_grad_(False).eval())
    with pytest.raises(ValueError, match="bev_small has fewer than 3 channels"):
        hand.method("labeldistill")
