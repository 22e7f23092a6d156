"""The video: a codec that browsers play, and the time of the drive."""
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV writes the video")
import av

from mapkd_core.map_files import overlay_video
from mapkd_core.map_files.overlay_video import OverlayVideo

SECOND_NS = 1_000_000_000


def write(path, stamps_s, size=(40, 61)):
    with OverlayVideo(path) as video:
        for place, at_s in enumerate(stamps_s):
            image = np.zeros((*size, 3), np.uint8)
            image[..., place % 3] = 200
            video.add(image, round(at_s * SECOND_NS))
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        frames = [(float(f.pts * f.time_base), f.to_ndarray(format="rgb24")) for f in container.decode(stream)]
        return stream.codec_context.name, frames


@pytest.mark.parametrize("name", [n for n in overlay_video.ENCODERS if n in av.codecs_available])
def test_images_stand_as_long_as_in_the_drive(tmp_path, monkeypatch, name):
    monkeypatch.setattr(overlay_video, "ENCODERS", {name: overlay_video.ENCODERS[name]})
    codec, frames = write(tmp_path / "a.mp4", [100.0, 100.1, 100.6])
    assert codec in {"libx264": ("h264",), "libvpx-vp9": ("vp9", "libvpx-vp9"), "libsvtav1": ("av1", "libdav1d")}[name]
    assert [time for time, _ in frames] == pytest.approx([0, 0.1, 0.6], abs=0.005)
    assert [image.mean((0, 1)).argmax() for _, image in frames] == [0, 1, 2]
    assert frames[0][1].shape == (40, 60, 3)


def test_a_pause_is_shortened_and_time_never_goes_back(tmp_path):
    _, frames = write(tmp_path / "a.mp4", [5.0, 5.1, 3600.0, 4.0, 4.2])
    steps = np.diff([time for time, _ in frames])
    assert steps == pytest.approx([0.1, 1.0, 1.0, 0.2], abs=0.005)


def test_without_an_encoder_that_browsers_play_it_says_what_helps(monkeypatch):
    monkeypatch.setattr(overlay_video, "ENCODERS", {"no_such_encoder": {}})
    with pytest.raises(ValueError, match=r"none of the encoders no_such_encoder, whose videos browsers.*--no-video"):
        overlay_video.encoder()
