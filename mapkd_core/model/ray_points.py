"""Where feature pixels lie in space when they are put at given depths; what lift-splat views start from."""
from __future__ import annotations

import torch
from torch import Tensor

from mapkd_core.model.precision import full_precision

PUBLISHED_IMAGE_SIZE = (1600, 900)
"""Width and height of the images that the published networks were trained on, before they are resized."""


def ray_points(
    intrinsics: Tensor, base_from_camera: Tensor, image_size: tuple[int, int], feature_size: tuple[int, int],
    depths_m: Tensor, align_corners: bool = False,
) -> Tensor:
    """Points B N D h w 3 in base_link, metres, of each feature pixel at each of D depths along the optical axis.

    `intrinsics` B N 3 3 of images of `image_size` (width, height), `base_from_camera` B N 4 4, feature maps of
    `feature_size` (w, h). Pixel centres are integers, as in `geometry.scale_intrinsics`. `align_corners`: a
    feature map reaches from the centre of the first pixel to that of the last one, as in lift-splat's released code.
    """
    (width, height), (w, h) = image_size, feature_size
    device = intrinsics.device
    if align_corners:
        u, v = torch.linspace(0, width - 1, w, device=device), torch.linspace(0, height - 1, h, device=device)
    else:
        u = (torch.arange(w, device=device) + 0.5) * (width / w) - 0.5
        v = (torch.arange(h, device=device) + 0.5) * (height / h) - 0.5
    pixel = torch.stack([u.expand(h, w), v[:, None].expand(h, w), torch.ones(h, w, device=u.device)], -1)
    rotation, offset = base_from_camera[..., :3, :3], base_from_camera[..., :3, 3]
    with full_precision(device):
        ray = torch.einsum("bnij,hwj->bnhwi", torch.linalg.inv(intrinsics), pixel)      # z of a ray is 1
        at = ray[:, :, None] * depths_m.reshape(1, 1, -1, 1, 1, 1)                      # B N D h w 3
        return torch.einsum("bnij,bndhwj->bndhwi", rotation, at) + offset[:, :, None, None, None]


def published_intrinsics(intrinsics: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Intrinsics B N 3 3 of resized images as the published networks know them: the first pixel's centre stays.

    Resizing moves pixel centres by half a pixel (`geometry.scale_intrinsics`), which their code leaves out; their
    weights have learnt that offset, which is the same in the network's pixels whatever the camera.
    """
    offset = intrinsics.new_zeros(3, 3)
    for axis, (size, full) in enumerate(zip(image_size, PUBLISHED_IMAGE_SIZE, strict=True)):
        offset[axis, 2] = 0.5 - 0.5 * size / full
    return intrinsics + offset
