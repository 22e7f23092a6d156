"""Two peers whose packages bear one name, imported one after the other."""
import sys

import numpy as np
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


def test_old_names_in_numpy_are_there_for_the_peer_alone(tmp_path):
    package = tmp_path / "peer_model"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "network.py").write_text(
        "import numpy as np\nimport numpy\n"
        "def cells():\n    return np.zeros(3, np.int), numpy.ones(2).astype(np.bool), np.linalg.norm([3.0, 4.0])\n"
    )
    before = dict(vars(np))
    with importable(tmp_path, "peer_model/network.py"):
        from peer_model.network import cells  # type: ignore[import-not-found]
    numbers, flags, length = cells()
    assert numbers.dtype == np.dtype(int) and flags.dtype == np.dtype(bool) and length == 5
    assert vars(np) == before and not hasattr(np, "int")


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no model/x"), importable(tmp_path, "model/x.py"):
        pass
