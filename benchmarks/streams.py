"""The peer of `benchmarks.messages`: NATS JetStream, its server with a file store, and a client of each kind in Python.

``python -m benchmarks.streams publish|consume PORT COUNT SIZE WINDOW``. The publisher has a window of messages under
way that the server has not acknowledged; the consumer fetches them in batches, acknowledges each batch as a whole, and
prints how many a second it has consumed since the first.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.daemons import folder, free_port, line, process, program

STREAM: Final = "benchmark"
FETCH: Final = 500


def missing() -> str:
    """Return what is not installed, empty if all is."""
    try:
        import nats  # noqa: F401  # whether it is there
    except ImportError:
        return "nats-py is not installed"
    return "" if shutil.which("nats-server") else "nats-server is not installed"


@contextmanager
def served(path: Path) -> Iterator[int]:
    """Run a server with its files in a folder; give its port."""
    port = free_port()
    (path / "nats.conf").write_text(
        f'listen: "127.0.0.1:{port}"\njetstream: {{store_dir: "{path}"}}\nlog_file: "{path}/log"\n'
    )
    with program("nats-server", "-c", str(path / "nats.conf"), port=port):
        yield port


def published(count: int, size: int, window: int) -> float:
    """Return how many messages a second go from one client to the other by way of a server."""
    with folder() as path, served(path) as port:
        words = (str(port), str(count), str(size), str(window))
        with process("-m", "benchmarks.streams", "consume", *words) as consumer:
            line(consumer)
            with process("-m", "benchmarks.streams", "publish", *words):
                return float(line(consumer))


async def _connected(port: int) -> Any:
    import nats

    client = await nats.connect(f"nats://127.0.0.1:{port}")
    return client.jetstream(publish_async_max_pending=1 << 20)


async def publish(port: int, count: int, size: int, window: int) -> None:
    """Publish a window of messages at a time, and wait until the server has acknowledged each of it."""
    stream = await _connected(port)
    payload, under_way = os.urandom(size), asyncio.Semaphore(window)
    for _ in range(count):
        await under_way.acquire()
        future = await stream.publish_async(STREAM, payload)
        future.add_done_callback(lambda _: under_way.release())
    await stream.publish_async_completed()


async def consume(port: int, count: int, _size: int, _window: int) -> None:
    """Consume so many."""
    from nats.js.api import AckPolicy, ConsumerConfig, StorageType

    stream = await _connected(port)
    await stream.add_stream(name=STREAM, subjects=[STREAM], storage=StorageType.FILE)
    config = ConsumerConfig(ack_policy=AckPolicy.ALL, max_ack_pending=-1)
    subscription = await stream.pull_subscribe(STREAM, "consumer", config=config)
    print("ready", flush=True)
    came, began = 0, 0.0
    while came < count:
        messages = await subscription.fetch(FETCH, timeout=20)
        began = began or time.perf_counter()
        came += len(messages)
        await messages[-1].ack()
    print(came / (time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    asyncio.run({"publish": publish, "consume": consume}[sys.argv[1]](*map(int, sys.argv[2:])))
