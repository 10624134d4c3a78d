"""Requests that no Python client sends, written by hand: messages by kio, record batches by this file.

    with Connection(port) as wire:
        answer = wire.call("end_txn", 5, transactional_id="t", producer_id=1, producer_epoch=0, committed=True)

Fields are named as in kio. One that is left out has its default; one that a version does not have is left out of it.
"""

import dataclasses
import datetime
import io
import itertools
import socket
import struct
import time
import types
import typing
import uuid
from dataclasses import dataclass, field

import crc32c
from kio.schema.index import api_key_map
from kio.index import load_request_schema, load_response_schema
from kio.serial import entity_reader, entity_writer
from kio.static.primitive import i32Timedelta, i64Timedelta

KEYS = {name: key for key, name in api_key_map.items()}
ZERO_UUID = uuid.UUID(int=0)


def entity(schema, values):
    """A kio message of class `schema` from a dictionary, its structures from dictionaries too."""
    hints = typing.get_type_hints(schema)
    made = {}
    for one in dataclasses.fields(schema):
        made[one.name] = _value(one, hints[one.name], values.get(one.name, dataclasses.MISSING))
    return schema(**made)


def _nested(hint):
    """The structure that a field is, or that a field is an array of."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(filter(None, map(_nested, typing.get_args(hint))), None)
    if typing.get_origin(hint) is tuple:
        return _nested(typing.get_args(hint)[0])
    return hint if dataclasses.is_dataclass(hint) else None


def _value(one, hint, value):
    kind = one.metadata.get("kafka_type")
    if value is dataclasses.MISSING:
        if one.default is not dataclasses.MISSING:
            return one.default
        if typing.get_origin(hint) is tuple:
            return ()
        if type(None) in typing.get_args(hint):
            return None
        value = {"string": "", "bool": False, "bytes": b"", "uuid": ZERO_UUID}.get(kind, 0)
    nested = _nested(hint)
    if isinstance(value, (list, tuple)):
        return tuple(entity(nested, v) if nested else v for v in value)
    if isinstance(value, dict) and nested:
        return entity(nested, value)
    if kind in ("timedelta_i32", "timedelta_i64") and isinstance(value, int):
        kinds = {"timedelta_i32": i32Timedelta, "timedelta_i64": i64Timedelta}
        return kinds[kind].parse(datetime.timedelta(milliseconds=value))
    if kind == "records" and isinstance(value, bytes):
        return value
    return value


class Closed(Exception):
    """The node closed the connection."""


class Connection:
    """One connection; requests are answered in order."""

    def __init__(self, port, client_id="hand", seconds=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.client_id, self._numbers = client_id, itertools.count(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, name, version, **fields):
        """Sends and does not wait; returns what `receive` needs."""
        schema = load_request_schema(KEYS[name], version)
        body = io.BytesIO()
        entity_writer(schema)(body, entity(schema, fields))
        return self.send_raw(KEYS[name], version, body.getvalue(), schema.__flexible__)

    def send_raw(self, key, version, body, flexible):
        number = next(self._numbers)
        client = self.client_id.encode()
        head = struct.pack(">hhih", key, version, number, len(client)) + client + (b"\0" if flexible else b"")
        self.socket.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
        return key, version, number

    def receive(self, sent):
        key, version, number = sent
        frame = self._read(struct.unpack(">i", self._read(4))[0])
        assert struct.unpack(">i", frame[:4])[0] == number, "answers out of order"
        schema = load_response_schema(key, version)
        start = 5 if schema.__flexible__ and key != KEYS["api_versions"] else 4
        answer, size = entity_reader(schema)(frame, start)
        assert start + size == len(frame), f"{len(frame) - start - size} bytes too many"
        return answer

    def call(self, name, version, **fields):
        return self.receive(self.send(name, version, **fields))

    def is_closed(self):
        """True when the node ends the connection without another byte."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _read(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise Closed
            data += more
        return data

    # What most tests need

    def create(self, topic, partitions=1, **configs):
        answer = self.call("create_topics", 7, timeout=10_000, validate_only=False, topics=[{
            "name": topic, "num_partitions": partitions, "replication_factor": 1,
            "configs": [{"name": k.replace("_", "."), "value": str(v)} for k, v in configs.items()]}])
        assert answer.topics[0].error_code == 0, answer
        return answer.topics[0].topic_id

    def topic_id(self, topic):
        return self.call("metadata", 12, topics=[{"name": topic}]).topics[0].topic_id

    def produce(self, topic, data, version=11, partition=0, acks=-1, transactional_id=None):
        """The partition's answer. `topic` is an id from version 13 on."""
        answer = self.call(
            "produce", version, transactional_id=transactional_id, acks=acks, timeout=10_000,
            topic_data=[{"name": topic, "topic_id": topic, "partition_data": [{"index": partition, "records": data}]}])
        return answer.responses[0].partition_responses[0]

    def fetch(self, topic, offset=0, version=12, partition=0, isolation=0, max_wait=0, max_bytes=1 << 24,
              partition_max_bytes=1 << 24, leader_epoch=-1, min_bytes=0, **more):
        """The whole answer. `topic` is an id from version 13 on."""
        return self.call(
            "fetch", version, max_wait=max_wait, min_bytes=min_bytes, max_bytes=max_bytes, isolation_level=isolation,
            topics=[{"topic": topic, "topic_id": topic, "partitions": [{
                "partition": partition, "current_leader_epoch": leader_epoch, "fetch_offset": offset,
                "partition_max_bytes": partition_max_bytes}]}],
            **{"session_id": 0, "session_epoch": -1, **more})

    def fetch_one(self, topic, offset=0, **more):
        answer = self.fetch(topic, offset, **more)
        return answer.responses[0].partitions[0]

    def offset(self, topic, timestamp, partition=0, version=9, isolation=0):
        """The partition's answer of ListOffsets."""
        answer = self.call("list_offsets", version, isolation_level=isolation, topics=[{
            "name": topic, "partitions": [{
                "partition_index": partition, "current_leader_epoch": -1, "timestamp": timestamp}]}])
        return answer.topics[0].partitions[0]

    def init_producer(self, transactional_id=None, version=5, timeout=60_000, producer_id=-1, producer_epoch=-1):
        return self.call(
            "init_producer_id", version, transactional_id=transactional_id, transaction_timeout=timeout,
            producer_id=producer_id, producer_epoch=producer_epoch)


# Record batches

TRANSACTIONAL, CONTROL = 1 << 4, 1 << 5
LOG_APPEND_TIME = 1 << 3
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
_HEADER = struct.Struct(">qiibIhiqqqhii")


def _varint(number):
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _bytes(value):
    return _varint(-1) if value is None else _varint(len(value)) + value


def now_ms():
    return int(time.time() * 1000)


def batch(values, *, keys=None, timestamps=None, attributes=0, producer_id=-1, epoch=-1, sequence=-1, base_offset=0,
          magic=2, count=None, crc=None):
    """A batch of records with these values; what is given besides is written as it is, right or wrong."""
    values = list(values)
    timestamps = timestamps or [now_ms()] * len(values)
    keys = keys or [None] * len(values)
    records = b""
    for number, (key, value, when) in enumerate(zip(keys, values, timestamps)):
        record = (b"\0" + _varint(when - timestamps[0]) + _varint(number) + _bytes(key) + _bytes(value) + _varint(0))
        records += _varint(len(record)) + record
    codec = attributes & 7
    if codec == 1:
        import gzip
        records = gzip.compress(records)
    count = len(values) if count is None else count
    body = struct.pack(">hiqqqhii", attributes, count - 1, timestamps[0], max(timestamps), producer_id, epoch, sequence,
                       count) + records
    crc = crc32c.crc32c(body) if crc is None else crc
    return struct.pack(">qiibI", base_offset, len(body) + 9, 0, magic, crc) + body


@dataclass
class Batch:
    base_offset: int
    leader_epoch: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    epoch: int
    sequence: int
    count: int
    size: int
    payload: bytes = field(repr=False, default=b"")

    @property
    def codec(self):
        return CODECS[self.attributes & 7]

    @property
    def is_control(self):
        return bool(self.attributes & CONTROL)

    @property
    def last_offset(self):
        return self.base_offset + self.last_offset_delta


def batches(data):
    """The headers of the batches in `data`, each with a right checksum and whole."""
    found, data = [], bytes(data or b"")
    while data:
        assert len(data) >= 61, "a batch that is cut"
        (base, length, leader, magic, crc, attributes, last, first_ms, max_ms, producer, epoch, sequence,
         count) = _HEADER.unpack_from(data)
        assert magic == 2 and len(data) >= length + 12, "a batch that is cut"
        assert crc32c.crc32c(data[21:12 + length]) == crc, "a wrong checksum"
        found.append(Batch(base, leader, attributes, last, first_ms, max_ms, producer, epoch, sequence, count,
                           length + 12, data[61:12 + length]))
        data = data[12 + length:]
    return found
