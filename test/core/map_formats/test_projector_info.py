"""map_projector_info.yaml: what cannot be is refused by the file's name."""
import pytest

from mapkd_core.map_formats.projector_info import read_projector_info
from mapkd_core.schema import FileFault

SOUND = "projector_type: {}\nmap_origin: {{latitude: 42.3, longitude: -71.0, altitude: {}}}\n"


@pytest.mark.parametrize("kind", ["LocalCartesianUTM", "LocalCartesian"])
def test_an_origin_that_is_nowhere_is_refused_by_the_file(tmp_path, kind):
    path = tmp_path / "map_projector_info.yaml"
    path.write_text(SOUND.format(kind, 3.5))
    assert read_projector_info(path).projector_type == kind
    path.write_text(SOUND.format(kind, 1000000000.0))
    with pytest.raises(FileFault, match=r"map_projector_info\.yaml: .*altitude"):
        read_projector_info(path)
