"""Cells as text: of any type, tidied, blank or not."""

import unicodedata

import pyarrow as pa
import pyarrow.compute as pc

# What Excel writes in place of a value that it could not find or work out.
EXCEL_ERRORS = (
    "#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#FIELD!",
    "#BLOCKED!", "#CONNECT!", "#BUSY!", "#UNKNOWN!", "#GETTING_DATA",
)  # fmt: skip


def as_text(values: pa.Array) -> pa.Array:
    """Any cells as text.

    Dates and timestamps become ISO (in their own time zone), numbers their shortest form (123.0 is 123, since
    a number has no spelling), truth values 1 and 0, NaN (pandas' blank) null.

    Raises:
        pa.ArrowException: a type that is no single value (a list, say), or bytes that are not UTF-8.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        return as_text(values.dictionary).take(values.indices)
    if pa.types.is_boolean(kind):
        values = values.cast(pa.int8())
    elif pa.types.is_decimal(kind) or pa.types.is_float16(kind) or pa.types.is_float32(kind):
        values = values.cast(pa.string()).cast(pa.float64())  # by way of text: 0.1 stays 0.1
    elif pa.types.is_timestamp(kind) and kind.tz:
        values = pc.local_timestamp(values)
    return _shortest(values) if pa.types.is_float64(values.type) else values.cast(pa.string())


def trimmed(texts: pa.Array) -> pa.Array:
    """Texts without the white space around them; null where nothing is left."""
    texts = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.equal(pc.binary_length(texts), 0), pa.scalar(None, pa.string()), texts)


def tidied(texts: pa.Array) -> pa.Array:
    """Texts trimmed, and in one spelling (Unicode NFKC) of full-width digits, composed Hangul and such."""
    if not pc.all(pc.string_is_ascii(texts)).as_py():
        # Arrow's own utf8_normalize (25.0) leaves Hangul decomposed under NFKC; distinct texts are few.
        distinct = texts.dictionary_encode()
        spelled = [
            t if t is None else unicodedata.normalize("NFKC", t) for t in distinct.dictionary.to_pylist()
        ]
        texts = pa.array(spelled, pa.string()).take(distinct.indices)
    return trimmed(texts)


def without_errors(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Texts; null where one is an error of Excel's."""
    errors = pc.is_in(pc.utf8_trim_whitespace(texts), value_set=pa.array(EXCEL_ERRORS))
    return pc.if_else(errors, pa.scalar(None, pa.string()), texts)


def is_blank(values: pa.Array) -> pa.Array:
    """Where a cell of any type holds nothing: true or false, never null."""
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        values = trimmed(values.cast(pa.string()))
    return pc.is_null(values, nan_is_null=True)


def _shortest(numbers: pa.Array) -> pa.Array:
    numbers = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    whole = pc.and_(pc.equal(pc.floor(numbers), numbers), pc.less(pc.abs(numbers), 1e15))
    integers = pc.if_else(whole, numbers, 0.0).cast(pa.int64()).cast(pa.string())
    return pc.if_else(whole, integers, numbers.cast(pa.string()))
