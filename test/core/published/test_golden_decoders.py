"""All six decoder layers of MapTR-tiny and MapTRv2 against their authors' code, in double precision.

Under the rule's weights each layer enlarges a difference some sixty times, so that float32 cannot hold the last ones to
anything. In float64, on a BEV that the rule makes too, differences end near 1e-5. The reference lies in
test/support: MapTRv2's is of the authors' own decoder and head, tiny's of tenstorrent/tt-forge-models' (3d75521).
"""
import numpy as np
import published
import pytest
import torch

from mapkd_core.model.vector_config import vector_config
from mapkd_core.model.vector_decoder import DecoderStart, VectorDecoder
from mapkd_core.published.networks import NETWORKS

SIZE = (200, 100)
FIRST_LIMIT, ENLARGED = 1e-12, 100
"""Of class logits and of places in 0..1: of the first layer's, and layer by layer so much more; found: 1e-14, 70."""


def decoder(name):
    """Ours with the rule's weights, which are read by the names of `mapkd import`."""
    ours = VectorDecoder(vector_config(NETWORKS[name].options), SIZE)
    own, state = ours.state_dict(), {}
    for key, source in NETWORKS[name].table(()).taken.items():
        if key.startswith("decoder."):
            plain = key.removeprefix("decoder.")
            shape = (350, 512) if source.theirs.endswith("instance_embedding.weight") and name == "maptrv2" else (
                tuple(own[plain].shape)
            )
            state[plain] = source.change(torch.from_numpy(published.weight(source.theirs, shape)))
    ours.load_state_dict(state)
    return ours.double().eval()


def given(ours):
    rows, cols = SIZE
    bev = torch.from_numpy(2 * published.uniform(3000, rows * cols * 256) - 1).reshape(1, rows * cols, 256)
    with torch.inference_mode():
        logits, places = ours(bev, DecoderStart(*ours.start()), deep=True)
    return logits.numpy(), places.numpy()[:, :, ::5]


@pytest.mark.parametrize("name", ["maptr_tiny", "maptrv2"])
def test_every_layer_gives_what_the_authors_code_gave(name):
    logits, places = given(decoder(name))
    golden = published.golden(f"{name}_decoder")
    assert logits.shape == golden["cls"].shape and len(logits) == 6 and places.shape == golden["pts"].shape
    for layer, (found, expected) in enumerate(zip(logits, golden["cls"], strict=True)):
        limit = FIRST_LIMIT * ENLARGED**layer
        assert np.abs(found - expected).max() < limit, layer
        assert np.abs(places[layer] - golden["pts"][layer]).max() < limit, layer
