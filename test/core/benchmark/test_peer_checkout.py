"""Two peers whose packages bear one name, imported one after the other."""
import sys

import pytest

from mapkd_core.benchmark.peer_checkout import importable


def test_each_peer_gets_its_own_modules_and_leaves_none(tmp_path):
    path, values = list(sys.path), []
    for peer in ("one", "two"):
        package = tmp_path / peer / "peer_model"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "network.py").write_text(f"NAME = {peer!r}\ndef name():\n    return NAME\n")
        with importable(tmp_path / peer, "peer_model/network.py"):
            from peer_model.network import name  # type: ignore[import-not-found]
        values.append(name)
        assert not [m for m in sys.modules if m.startswith("peer_model")]
    assert [name() for name in values] == ["one", "two"]
    assert sys.path == path


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no model/x"), importable(tmp_path, "model/x.py"):
        pass
