"""End to end: from a record's produce at the gateway to a consumer of the cloud, over the directory store."""

import tempfile
import threading
import time
from pathlib import Path

from common import BINARY, ROOT, Server, free_port

SECONDS = 20


def main():
    from confluent_kafka import Consumer, Producer
    with tempfile.TemporaryDirectory(dir=ROOT / ".build") as directory:
        store = ["--store-url", f"dir:{directory}/store"]
        cloud_port, http = free_port(), free_port()
        cloud = Server("cloud", [
            BINARY, "cloud", "--data-dir", Path(directory) / "cloud", "--kafka-listen", f"127.0.0.1:{cloud_port}",
            "--http-listen", f"127.0.0.1:{http}", *store], cloud_port, directory)
        edge_port = free_port()
        edge = Server("edge", [
            BINARY, "edge", "--site", "bench", "--data-dir", Path(directory) / "edge", *store,
            "--kafka-listen", f"127.0.0.1:{edge_port}", "--http-listen", "", "--ntrip-listen", "",
            "--uplink-announce", f"http://127.0.0.1:{http}"], edge_port, directory)
        lags, acks, stop = [], [], threading.Event()
        consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{cloud_port}", "group.id": "lag",
                             "auto.offset.reset": "earliest", "topic.metadata.refresh.interval.ms": 500,
                             "fetch.wait.max.ms": 500, "log_level": 0})
        consumer.subscribe(["gnss.lag"])

        def read():
            while not stop.is_set():
                message = consumer.poll(0.1)
                if message is not None and not message.error():
                    lags.append(time.time() - float(message.value()))
        reader = threading.Thread(target=read)
        reader.start()
        producer = Producer({"bootstrap.servers": f"127.0.0.1:{edge_port}", "acks": "all", "linger.ms": 0})
        def acknowledge():
            while not stop.is_set():
                producer.poll(0.1)
        acknowledger = threading.Thread(target=acknowledge)
        acknowledger.start()
        for _ in range(SECONDS * 100):
            sent = time.time()
            producer.produce("gnss.lag", value=repr(sent),
                             on_delivery=lambda error, _, sent=sent: acks.append(time.time() - sent))
            time.sleep(0.01)
        producer.flush(10)
        time.sleep(3)
        stop.set()
        reader.join()
        acknowledger.join()
        consumer.close()
        for server in (edge, cloud):
            server.stop()
        settled = sorted(lags[len(lags) // 4:])  # without those from before the consumer had its partitions
        acks.sort()
        print(f"100 records/s through lane critical (flush 1 s): {len(lags)} of {SECONDS * 100} read")
        print(f"durable ack   p50 {acks[len(acks) // 2] * 1000:.1f} ms, p99 {acks[len(acks) * 99 // 100] * 1000:.1f} ms")
        print(f"end to end    p50 {settled[len(settled) // 2] * 1000:.0f} ms, p99 {settled[len(settled) * 99 // 100] * 1000:.0f} ms")


if __name__ == "__main__":
    main()
