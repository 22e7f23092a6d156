"""Where feature pixels lie in space when they are put at given depths; what lift-splat views start from."""
from __future__ import annotations

import torch
from torch import Tensor

from mapkd_core.model.precision import full_precision


def ray_points(
    intrinsics: Tensor, base_from_camera: Tensor, image_size: tuple[int, int], feature_size: tuple[int, int],
    depths_m: Tensor,
) -> Tensor:
    """Points B N D h w 3 in base_link, metres, of each feature pixel at each of D depths along the optical axis.

    `intrinsics` B N 3 3 of images of `image_size` (width, height), `base_from_camera` B N 4 4, feature maps of
    `feature_size` (w, h). Pixel centres are integers, as in `geometry.scale_intrinsics`.
    """
    (width, height), (w, h) = image_size, feature_size
    u = (torch.arange(w, device=intrinsics.device) + 0.5) * (width / w) - 0.5
    v = (torch.arange(h, device=intrinsics.device) + 0.5) * (height / h) - 0.5
    pixel = torch.stack([u.expand(h, w), v[:, None].expand(h, w), torch.ones(h, w, device=u.device)], -1)
    rotation, offset = base_from_camera[..., :3, :3], base_from_camera[..., :3, 3]
    with full_precision(intrinsics.device):
        ray = torch.einsum("bnij,hwj->bnhwi", torch.linalg.inv(intrinsics), pixel)      # z of a ray is 1
        at = ray[:, :, None] * depths_m.reshape(1, 1, -1, 1, 1, 1)                      # B N D h w 3
        return torch.einsum("bnij,bndhwj->bndhwi", rotation, at) + offset[:, :, None, None, None]
