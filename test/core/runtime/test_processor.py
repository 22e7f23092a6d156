"""Processor flags."""
from mapkd_core.runtime.processor import BF16_FLAGS, INT8_FLAGS, has_any


def test_flags(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16 sha_ni\n")
    assert has_any(BF16_FLAGS, cpuinfo) and not has_any(INT8_FLAGS, cpuinfo)
    cpuinfo.write_text("Features\t: fp asimd asimddp\n")
    assert has_any(INT8_FLAGS, cpuinfo) and not has_any(BF16_FLAGS, cpuinfo)
    assert not has_any(INT8_FLAGS, tmp_path / "none")
