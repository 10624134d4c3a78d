"""Reads messages that Cairn encoded and checks them with kio, an independent implementation of the Kafka protocol.

Standard input, one message a line: `key version request|response hex leaves`. The leaves are the values that the bytes must
hold, in wire order and joined by commas, tagged fields after the others of their structure: integers in decimal, booleans 0
or 1, `-` for null, `#n` for an array of n, and `x` with hexadecimal digits for texts, bytes and UUIDs.

A line `batch hex leaves` is one record batch; its leaves are base offset, producer id, epoch, sequence, and for each record
timestamp, key, value, `#n` and the names and values of its n headers.

For each message kio must read the same leaves from the bytes, all of them, and write the same bytes again. Exit status 0
when all lines agree; else the differences are printed and the status is 1.
"""

import dataclasses
import datetime
import io
import sys
import uuid

from kio.index import load_request_schema, load_response_schema
from kio.records.readers import read_batch
from kio.serial import entity_reader, entity_writer

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MILLISECOND = datetime.timedelta(milliseconds=1)


def leaf(value, kafka_type):
    if value is None:
        # kio's name for the zero UUID, and for a time that is not known.
        return {"uuid": "x" + "00" * 16, "datetime_i64": "-1"}.get(kafka_type, "-")
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, str):
        return "x" + value.encode().hex()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "x" + bytes(value).hex()
    if isinstance(value, uuid.UUID):
        return "x" + value.bytes.hex()
    if isinstance(value, datetime.timedelta):
        return str(value // MILLISECOND)
    if isinstance(value, datetime.datetime):
        return str((value - EPOCH) // MILLISECOND)
    raise TypeError(f"{value!r} of type {type(value)}")


def field_leaves(value, kafka_type):
    if isinstance(value, tuple):
        yield f"#{len(value)}"
        for element in value:
            yield from field_leaves(element, kafka_type)
    elif dataclasses.is_dataclass(value):
        yield from leaves(value)
    else:
        yield leaf(value, kafka_type)


def leaves(entity):
    fields = dataclasses.fields(entity)
    plain = [field for field in fields if "tag" not in field.metadata]
    tagged = sorted((field for field in fields if "tag" in field.metadata), key=lambda field: field.metadata["tag"])
    for field in plain + tagged:
        yield from field_leaves(getattr(entity, field.name), field.metadata.get("kafka_type"))


def compare_message(key, version, direction, data, expected):
    load = load_request_schema if direction == "request" else load_response_schema
    schema = load(int(key), int(version))
    entity, size = entity_reader(schema)(data, 0)
    if size != len(data):
        return f"kio read {size} of {len(data)} bytes"
    found = list(leaves(entity))
    if found != expected:
        return f"leaves differ\n  ours {expected}\n  kio  {found}"
    output = io.BytesIO()
    entity_writer(schema)(output, entity)
    if output.getvalue() != data:
        return f"bytes differ\n  ours {data.hex()}\n  kio  {output.getvalue().hex()}"
    return None


def batch_leaves(batch):
    yield from map(str, (batch.base_offset, batch.producer_id, batch.producer_epoch, batch.base_sequence))
    for record in batch.records:
        yield leaf(record.timestamp, None)
        yield leaf(record.key, None)
        yield leaf(record.value, None)
        yield f"#{len(record.headers)}"
        for header in record.headers:
            yield leaf(header.key, None)
            yield leaf(header.value, None)


def compare_batch(data, expected):
    batch, _ = read_batch(data, 0)
    found = list(batch_leaves(batch))
    return None if found == expected else f"leaves differ\n  ours {expected}\n  kio  {found}"


def compare(line):
    words = line.rstrip("\n").split(" ")
    expected = [word for word in words[-1].split(",") if word]
    if words[0] == "batch":
        return compare_batch(bytes.fromhex(words[1]), expected)
    return compare_message(words[0], words[1], words[2], bytes.fromhex(words[3]), expected)


def main():
    lines = failures = 0
    for line in sys.stdin:
        lines += 1
        try:
            difference = compare(line)
        except Exception as error:
            difference = f"{type(error).__name__}: {error}"
        if difference:
            failures += 1
            print(f"{' '.join(line.split(' ')[:3])[:60]}: {difference}")
    print(f"{lines} compared, {failures} differ")
    return 1 if failures or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
