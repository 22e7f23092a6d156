"""The CPU's ray caster: the same images and sweeps as the tensor code, compiled by numba, one ray after another."""
