"""Every reader on damaged files, a fiftieth of what `make fuzz` tries: read, or refused by name in one line."""
import logging
import warnings

import pytest
from damaged_reader import Reader, Tried
from damaged_readers import READERS
from hypothesis import HealthCheck, given, settings

pytest.importorskip("shapefile", reason="SD maps as shapefiles need: pip install '.[nuscenes]'")
pytest.importorskip("rosbags", reason="bags need: pip install '.[bag]'")


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_damaged_files_are_read_or_refused_by_name(reader, tmp_path, monkeypatch):
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    tried = Tried(reader, tmp_path / "files")

    @settings(
        max_examples=20 if reader.costly else 400, derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(tried.damages())
    def check(damage):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert tried.outcome(*damage) in ("read", "refused")

    check()


def test_a_reader_that_speaks_python_is_found(tmp_path):
    """The proof can fail."""
    def read(folder):
        int((folder / "a.json").read_text())

    tried = Tried(Reader("ours", lambda folder: (folder / "a.json").write_text("5"), read), tmp_path / "files")
    assert tried.outcome({"a.json": b"7"}, False) == "read"
    assert tried.outcome({"a.json": b"seven"}, False).startswith("ValueError: invalid literal")
