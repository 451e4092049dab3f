"""How values lie on the wire, and what can't lie there."""

from __future__ import annotations

import pytest

from engines.generating.sampling import Value
from engines.triton.tensors import Declared, Slot, Tensor, read_count, read_floats, read_text


def slot(datatype: str, *dims: int, batched: bool = False) -> Slot:
    return Slot("x", Declared(datatype, dims), batched=batched)


WRITTEN: list[tuple[Slot, tuple[Value, ...], tuple[int, ...], str]] = [
    (slot("INT32", 1), (-2,), (1,), "feffffff"),
    (slot("INT64", 1, batched=True), (1,), (1, 1), "0100000000000000"),
    (slot("UINT64", 1), (2**64 - 1,), (1,), "ffffffffffffffff"),
    (slot("FP16", 1), (0.5,), (1,), "0038"),
    (slot("FP32", 1), (0.5,), (1,), "0000003f"),
    (slot("FP64", 1), (1,), (1,), "000000000000f03f"),
    (slot("BOOL"), (True,), (), "01"),
    (slot("BOOL", batched=True), (False,), (1,), "00"),
    (slot("BYTES", 1), ("",), (1,), "00000000"),
    (slot("BYTES", -1), ("é", "b"), (2,), "02000000c3a90100000062"),
    (slot("BYTES", -1, batched=True), ("a", "b", "c"), (1, 3), "010000006101000000620100000063"),
    (slot("BYTES", 1, -1), ("a", "b"), (1, 2), "01000000610100000062"),
    (slot("BYTES", -1, 1), ("a", "b"), (2, 1), "01000000610100000062"),
    (slot("INT32", -1, -1), (1, 2), (1, 2), "0100000002000000"),
]


@pytest.mark.parametrize(("to", "values", "shape", "content"), WRITTEN, ids=str)
def test_values_are_written_as_declared(
    to: Slot, values: tuple[Value, ...], shape: tuple[int, ...], content: str
) -> None:
    assert to.write(*values) == Tensor("x", to.declared.datatype, shape, bytes.fromhex(content))


UNFIT: list[tuple[Slot, tuple[Value, ...]]] = [
    (slot("INT32", 1), (2**31,)),
    (slot("UINT64", 1), (-1,)),
    (slot("INT32", 1), (1, 2)),
    (slot("BYTES", 1), ()),
    (slot("FP32", 1), (1e300,)),
    (slot("FP16", 1), (1e6,)),
    (slot("FP32", 1), (float("nan"),)),
    (slot("FP64", 1), (float("inf"),)),
]


@pytest.mark.parametrize(("to", "values"), UNFIT, ids=str)
def test_what_does_not_fit_is_not_written(to: Slot, values: tuple[Value, ...]) -> None:
    with pytest.raises(ValueError, match=r"it (is|takes)"):
        to.write(*values)


@pytest.mark.parametrize(("datatype", "dims"), [("BF16", (1,)), ("FP32", (3,)), ("FP16", (-1, 3)), ("", (1,))])
def test_an_input_for_no_plain_value_is_no_slot(datatype: str, dims: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="The input 'x'"):
        slot(datatype, *dims)


@pytest.mark.parametrize(
    ("datatype", "kinds"),
    [("BYTES", [str]), ("BOOL", [bool]), ("INT32", [int]), ("UINT8", [int]), ("FP16", [int, float])],
)
def test_a_slot_knows_what_it_holds(datatype: str, kinds: list[type]) -> None:
    assert [kind for kind in (str, bool, int, float) if slot(datatype, 1).holds(kind)] == kinds


def test_outputs_are_read() -> None:
    assert read_text(bytes.fromhex("02000000c3a9")) == b"\xc3\xa9"
    assert read_text(bytes(4)) == b""
    assert read_count(bytes.fromhex("07000000")) == 7
    assert read_floats(bytes.fromhex("0000003f000080bf")) == (0.5, -1.0)


@pytest.mark.parametrize("content", ["", "0200", "0200000061", "010000006162", "01000000610100000062"])
def test_a_text_that_is_not_one_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match="exactly one text"):
        read_text(bytes.fromhex(content))


@pytest.mark.parametrize("content", ["", "0100", "ffffffff", "0100000000000000"])
def test_a_count_that_is_none_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        read_count(bytes.fromhex(content))


def test_bytes_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="4 bytes"):
        read_floats(b"12345")
