"""The page on distillation: its example is a method that works, and it names every method."""
import re
import sys
import types
from pathlib import Path

import pytest
from distill_bench import Bench, batch_of

from mapkd_core.distill import methods

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "distillation.md").read_text()


def test_the_example_is_a_method(monkeypatch):
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    module = types.ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)  # dataclasses look up their own module
    exec(compile(source, "docs/reference/distillation.md", "exec"), vars(module))
    monkeypatch.setitem(methods.METHODS, "cosine", module.Cosine)
    bench = Bench(coach=None)
    method, step = bench.method("cosine"), bench.step(batch_of())
    terms = method.terms(step)
    assert terms["cosine"] > 0 and method.weights() == {"cosine": 1.0}
    terms["cosine"].backward()
    assert next(bench.student.parameters()).grad is not None


@pytest.mark.parametrize("name", methods.METHODS)
def test_the_page_names_every_method(name):
    assert f"`{name}`" in PAGE
