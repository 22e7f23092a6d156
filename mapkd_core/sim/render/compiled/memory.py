"""Reads and writes of loops that look values up in a table, so that they become vector instructions.

Where a loop writes to one array and reads another at places that only the data tell, a compiler must fear that it
writes to what it reads, and takes one step after the other. `look_up` reads from tables, `get` and `put` work on
everything else, and nobody `put`s into a table: with that told, LLVM takes eight or sixteen steps at once. A loop
with one `look_up` must have no other reads and writes of arrays than these three. Indices are not checked and must not
be negative. Told by LLVM's `alias.scope` and `noalias`.
"""
from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic


def _tables(builder: Any) -> Any:
    """LLVM's name for all tables."""
    module = builder.module
    domain = module.add_metadata(["mapkd"])
    return module.add_metadata([module.add_metadata(["mapkd tables", domain])])


def _address(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [args[1]], inbounds=True)


def _reader(told: str) -> Any:
    def codegen(context, builder, signature, args):
        value = builder.load(_address(context, builder, signature, args))
        value.set_metadata(told, _tables(builder))
        return value

    return codegen


@intrinsic
def look_up(typing_context, table, index):
    """`table[index]` of a contiguous array that is only read; `index` is an int64."""
    return table.dtype(table, index), _reader("alias.scope")


@intrinsic
def get(typing_context, array, index):
    """`array[index]` of a contiguous array that is no table."""
    return array.dtype(array, index), _reader("noalias")


@intrinsic
def put(typing_context, array, index, value):
    """`array[index] = value` for a contiguous array that is no table, `value` of its type."""

    def codegen(context, builder, signature, args):
        store = builder.store(args[2], _address(context, builder, signature, args))
        store.set_metadata("noalias", _tables(builder))
        return context.get_dummy_value()

    return types.void(array, index, array.dtype), codegen
