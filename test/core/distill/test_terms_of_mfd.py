"""Masked feature distillation, alone in `distillbev` and with orthogonal alignment and the teacher's heads in
`dualdistill`: every mask, attention, scale and weight written out in NumPy."""
import logging

import numpy as np
import pytest
import torch
from hand_step import LINES, LOSS, Hand, draw_parameters, prediction_by_hand
from slow_math import array, block_max, class_entropy, point_wise, sigmoid, softmax
from slow_regions import foreground, instances
from torch import nn

from mapkd_core.distill.dualdistill import Aoa
from mapkd_core.distill.mfd import Mfd
from mapkd_core.model.bev_encode import BevEncode


def spatial_attention(feature):
    """Mean over the map 1: softmax of the channels' mean size over 0.5."""
    result = []
    for sample in feature:
        loud = np.abs(sample).mean(0) / 0.5
        e = np.exp(loud - loud.max())
        result.append(e / e.sum() * e.size)
    return np.array(result)


def channel_attention(feature):
    return np.array([softmax(np.abs(f).mean((1, 2)) / 0.5, 0) * len(f) for f in feature])


def false_positives(teacher_logits, size):
    """Where the teacher is above one half and no line is within 3 cells in a square around."""
    lines, logits = foreground()[:, 0], array(teacher_logits)
    mask = np.zeros_like(lines)
    for b, r, c in np.ndindex(lines.shape):
        near = lines[b, max(r - 3, 0) : r + 4, max(c - 3, 0) : c + 4].any()
        mask[b, r, c] = sigmoid(logits[b, 1:, r, c].max()) > 0.5 and not near
    return block_max(mask, size)


def smooth(image, convolution):
    """The 3x3 convolution of one channel B h w, zeros beyond."""
    kernel, (rows, cols) = array(convolution.weight)[0, 0], image.shape[1:]
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    moved = [kernel[i, j] * padded[:, i : i + rows, j : j + cols] for i in range(3) for j in range(3)]
    return sum(moved) + convolution.bias.item()


def level(student, teacher, mfd, teacher_logits=None):
    """The terms of one level for B C h w arrays."""
    size = student.shape[2:]
    square = (student - teacher) ** 2
    attention = (spatial_attention(student) + spatial_attention(teacher)) / 2
    ids, background = instances(size), 1 - block_max(foreground(), size)[:, 0]
    scale = np.zeros((len(student), *size))
    for b, r, c in np.ndindex(scale.shape):
        if ids[b, r, c]:
            scale[b, r, c] = 1 / np.sqrt((ids[b] == ids[b, r, c]).sum())
    count = len(student)
    terms = {
        "lines": sum((square[b] * scale[b] * attention[b]).sum() for b in range(count)) / count,
        "background": sum((square[b] * background[b] * attention[b]).sum() / background[b].sum()
                          for b in range(count)) / count,
        "spatial": np.abs(teacher.mean(1) - smooth(student.mean(1), mfd.smooth)).sum() / count,
    }  # fmt: skip
    if teacher_logits is not None:
        wrong, channels = false_positives(teacher_logits, size), channel_attention(teacher)
        assert all(mask.sum() > 3 for mask in wrong)
        terms["mistakes"] = sum(
            (square[b] * wrong[b] / wrong[b].sum() * attention[b] * channels[b][:, None, None]).sum()
            for b in range(count)
        ) / count
    return terms


def total(levels):
    return {name: sum(terms.get(name, 0.0) for terms in levels) for name in levels[0] | levels[-1]}


def quiet_teacher():
    """A teacher that sees a line in a few places only, so that its mistakes are a part of the map."""
    teacher = prediction_by_hand(2, enc1=3, enc3=4, up1=5)
    teacher.semantic = (teacher.semantic.detach() - 2.0).requires_grad_()
    return teacher


class Decoder(nn.Module):
    """A teacher whose heads read an `up1` of 8 channels."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.encode = BevEncode(6, 2)
        draw_parameters(self, 0.2, 0.6)  # heads with something to say: a flat answer looks the same to any target
        self.requires_grad_(False).eval()


def test_distillbev():
    hand = Hand(teacher=quiet_teacher())
    method = hand.method("distillbev")
    terms, levels = method.terms(hand.step()), []
    for name in ("enc1", "enc3", "up1"):
        mine, theirs = hand.student.taps[name].detach(), array(hand.teacher.taps[name])
        adapted = method.adapt[name](mine)  # train-only, in training mode, as in the step
        logits = hand.teacher.semantic if name == "up1" else None
        levels.append(level(array(adapted), theirs, method.mfd[name], logits))
    assert {n: t.item() for n, t in terms.items()} == pytest.approx(total(levels), rel=1e-3)
    every = {"student.enc1", "student.enc3", "student.up1"}
    assert {n: hand.reached(t) for n, t in terms.items()} == {
        "lines": every, "background": every, "spatial": every, "mistakes": {"student.up1"}
    }
    np.testing.assert_allclose(point_wise(array(hand.student.taps["up1"]), method.adapt["up1"]), array(adapted), 1e-4)


def test_the_stacks_of_distillbev_are_three_convolutions_deep():
    method = Hand(teacher=quiet_teacher()).method("distillbev")
    for name, widths in (("enc1", [4, 3, 3, 3]), ("enc3", [8, 4, 4, 4])):
        made = [m for m in method.adapt[name].modules() if isinstance(m, nn.Conv2d)]
        assert [made[0].in_channels, *(m.out_channels for m in made)] == widths
        assert all(m.kernel_size == (1, 1) for m in made)
        assert sum(isinstance(m, nn.ReLU) for m in method.adapt[name].modules()) == 3


@pytest.fixture
def dual():
    teacher = quiet_teacher()
    teacher.taps["up1"] = prediction_by_hand(2, up1=8).taps["up1"]
    return Hand(teacher=teacher, network=Decoder())


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_dualdistill(dual, temperature):
    method = dual.method("dualdistill", temperature=temperature)
    terms, levels = method.terms(dual.step()), []
    for name in ("enc1", "enc3", "up1"):
        mine, theirs = dual.student.taps[name].detach(), array(dual.teacher.taps[name])
        if name == "up1":
            levels.append(level(point_wise(array(mine), method.pair.adapt), theirs, method.mfd[name],
                                dual.teacher.semantic))  # fmt: skip
        else:
            levels.append(level(array(method.aoa[name](mine)), theirs, method.mfd[name]))
    expected = total(levels)
    heads, answers = dual.network.encode.branches, {}
    for output in ("semantic", "direction"):
        adapted = point_wise(array(dual.student.taps["up1"]), method.head_adapt[output].adapt)
        answers[output] = array(heads[output](torch.from_numpy(adapted).float()))
    target = sigmoid(array(dual.teacher.semantic) / temperature)
    expected["head"] = class_entropy(answers["semantic"], target, [3.0] + [3.0 * w for w in LOSS.class_weight])
    wanted = softmax(array(dual.teacher.direction) / temperature, 1)
    entropy = -(wanted * np.log(softmax(answers["direction"], 1))).sum(1)
    expected["direction"] = (entropy * foreground()[:, 0]).sum() / foreground().sum()
    assert answers["direction"].std() > 1
    assert {n: t.item() for n, t in terms.items()} == pytest.approx(expected, rel=1e-3)


def test_the_attention_carries_no_gradient():
    """What pulls at a feature is twice the weighted difference, as if the weights were constants."""
    hand = Hand(student=prediction_by_hand(1, up1=5), teacher=quiet_teacher())
    method = hand.method("distillbev")
    mine, theirs = hand.student.taps["up1"], hand.teacher.taps["up1"].detach()
    terms = method.mfd["up1"](mine, theirs, hand.step().regions, hand.teacher.semantic)
    for name, mask in (("lines", instances((8, 12)) > 0), ("background", instances((8, 12)) == 0)):
        (gradient,) = torch.autograd.grad(terms[name], mine, retain_graph=True)
        pull, difference = array(gradient), array(mine - theirs)
        attention = (spatial_attention(array(mine)) + spatial_attention(array(theirs))) / 2
        ratio = pull / (difference * attention[:, None])
        for sample in range(2):
            kept = ratio[sample][:, mask[sample]]
            np.testing.assert_allclose(kept, np.broadcast_to(kept[0], kept.shape), rtol=1e-2)
            assert not pull[sample][:, ~mask[sample]].any()


def test_the_student_is_reached_through_its_features_alone(dual):
    """Its own heads are not asked: the teacher's frozen ones read its feature."""
    terms = dual.method("dualdistill").terms(dual.step())
    every, deep = {"student.enc1", "student.enc3", "student.up1"}, {"student.up1"}
    assert {n: dual.reached(t) for n, t in terms.items()} == {
        "lines": every, "background": every, "spatial": every, "mistakes": deep, "head": deep, "direction": deep
    }
    dual.student.direction = None
    assert dual.method("dualdistill").terms(dual.step())["direction"] > 0
    dual.teacher.direction = None
    assert "direction" not in dual.method("dualdistill").terms(dual.step())


def test_frozen_heads_are_nobodys_parameters(dual):
    method = dual.method("dualdistill")
    assert not {id(p) for p in method.parameters()} & {id(p) for p in dual.network.parameters()}


def test_a_teacher_without_a_head_is_refused():
    with pytest.raises(ValueError, match="dualdistill needs a teacher with a semantic head after `up1`; Module has"):
        Hand().method("dualdistill")


def test_alignment_written_out():
    """Queries attend to keys of the pooled feature; a feed-forward beside; the turn, bilinear growth, gamma, beta."""
    torch.manual_seed(1)
    aoa = Aoa(4, 6, (8, 12), (4, 6)).eval()
    draw_parameters(aoa)
    feature = torch.randn(2, 4, 8, 12)
    with torch.no_grad():
        pooled = nn.functional.avg_pool2d(feature, 2)
        keys = aoa.key(pooled).flatten(2).transpose(1, 2) + aoa.position
        queries = aoa.mix_query(aoa.query).flatten(2).transpose(1, 2)
        q, k, v = (
            x @ w.T + b for x, w, b in zip(
                (queries, keys, keys), aoa.attend.in_proj_weight.chunk(3), aoa.attend.in_proj_bias.chunk(3), strict=True
            )
        )
        heads = 4
        mixed = torch.zeros(2, 24, 4)
        for head in range(heads):
            weight = (q[..., head, None] * k[:, None, :, head] / 1.0).softmax(-1)
            mixed[..., head] = (weight * v[:, None, :, head]).sum(-1)
        mixed = mixed @ aoa.attend.out_proj.weight.T + aoa.attend.out_proj.bias
        normed = (mixed - mixed.mean(-1, keepdim=True)) / (mixed.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        x = normed * aoa.norm.weight + aoa.norm.bias
        hidden = x @ aoa.feed[0].weight.T + aoa.feed[0].bias
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        x = x + hidden @ aoa.feed[2].weight.T + aoa.feed[2].bias
        turned = (x @ aoa.turn.weight.T).transpose(1, 2).unflatten(2, (4, 6))
        grown = nn.functional.interpolate(turned, (8, 12), mode="bilinear", align_corners=False)
        expected = aoa.gamma * grown + aoa.beta
        assert expected.std() > 0.05
        torch.testing.assert_close(aoa(feature), expected, rtol=1e-4, atol=1e-4)


def test_the_orthogonal_map_starts_with_neutral_gain_and_without_positions():
    aoa = Aoa(4, 6, (8, 12), (4, 6))
    assert (aoa.gamma == 1).all() and (aoa.beta == 0).all() and (aoa.position == 0).all()
    assert aoa.query.std().item() == pytest.approx(0.02, rel=0.3)
    assert aoa.attend.num_heads == 4 and Aoa(12, 6, (8, 12), (4, 6)).attend.num_heads == 4
    assert Aoa(16, 6, (8, 12), (4, 6)).attend.num_heads == 8


def test_levels_attend_at_the_size_of_enc3(dual):
    method = dual.method("dualdistill")
    assert {n: (a.pooled, a.size) for n, a in method.aoa.items()} == {
        "enc1": ((4, 6), (8, 12)), "enc3": ((4, 6), (4, 6))
    }


def test_a_students_finer_enc3_is_attended_at_the_size_of_the_teachers(dual):
    """Attention grows with the square of that size."""
    dual.student.taps["enc3"] = torch.randn(2, 8, 8, 12)
    method = dual.method("dualdistill")
    assert {n: (a.pooled, a.size) for n, a in method.aoa.items()} == {
        "enc1": ((4, 6), (8, 12)), "enc3": ((4, 6), (4, 6))
    }


def test_the_student_inherits_what_has_the_same_shape(dual, caplog):
    class Student(nn.Module):
        def __init__(self, channels):
            super().__init__()
            torch.manual_seed(11)
            self.encode = BevEncode(channels, 2)

    teacher = dual.network.encode.state_dict()
    for channels, shared in ((6, True), (5, False)):
        student = Student(channels)
        fresh = {k: v.clone() for k, v in student.encode.state_dict().items()}
        dual.method("dualdistill").prepare_student(student, dual.network)
        now = student.encode.state_dict()
        assert all(torch.equal(now[k], teacher[k]) for k in now if k != "stem.0.weight")
        assert torch.equal(now["stem.0.weight"], teacher["stem.0.weight"] if shared else fresh["stem.0.weight"])
    student = Student(6)
    fresh = {k: v.clone() for k, v in student.encode.state_dict().items()}
    dual.method("dualdistill", inherit_head=False).prepare_student(student, dual.network)
    assert all(torch.equal(v, fresh[k]) for k, v in student.encode.state_dict().items())
    with caplog.at_level(logging.WARNING):
        dual.method("dualdistill").prepare_student(nn.Module(), dual.network)
    assert "the head is not inherited" in caplog.text


def test_no_line_at_all_gives_background_alone():
    hand = Hand(teacher=quiet_teacher(), lines=(LINES[0], ()))
    terms = hand.method("distillbev").terms(hand.step())
    lines = torch.autograd.grad(terms["lines"], hand.student.taps["up1"], retain_graph=True)[0]
    background = torch.autograd.grad(terms["background"], hand.student.taps["up1"])[0]
    assert lines[0].any() and not lines[1].any() and background[1].all(0).all()


def test_the_smoothing_of_the_students_mean_starts_as_none():
    feature = torch.randn(2, 1, 6, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Mfd().smooth(feature), feature)
