"""Convolution blocks."""
import pytest
import torch

from mapkd_core.model.layers import ResidualBlock, StridedPoint


@pytest.mark.parametrize(("channels", "stride"), [(8, 2), (12, 2), (8, 1), (24, 2)])
def test_picking_cells_first_changes_nothing(channels, stride):
    torch.manual_seed(0)
    point = StridedPoint(channels, 16, stride)
    x = torch.randn(2, channels, 50, 101).to(memory_format=torch.channels_last).requires_grad_()
    picked, strided = point.train()(x), point.eval()(x)
    assert torch.allclose(picked, strided, atol=1e-5)
    picked.square().sum().backward()  # the process dies here where the strided backward pass is at fault
    assert x.grad is not None and (x.grad[:, :, ::stride, ::stride] != 0).all()
    assert x.grad.count_nonzero() == x[:, :, ::stride, ::stride].numel()


def test_a_fresh_residual_block_changes_nothing():
    torch.manual_seed(0)
    block, x = ResidualBlock(6, 6), torch.randn(2, 6, 5, 7)
    for mode in (block.train(), block.eval()):
        assert torch.allclose(mode(x), x.relu(), atol=1e-6)
