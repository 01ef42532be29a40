"""The load on `benchmarks.tls_server`: ``python -m benchmarks.tls_client FOLDER PORT COUNT``; prints connects a second.

Four threads with the standard library's OpenSSL, so that the client is not the
limit; no session is resumed.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Final

THREADS: Final = 4


def main() -> None:
    """Run as the command line says."""
    folder, port, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    context = ssl.create_default_context(cafile=str(folder / "server.pem"))
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(folder / "client.pem")

    def connect(times: int) -> None:
        for _ in range(times):
            with (
                socket.create_connection(("127.0.0.1", port)) as plain,
                context.wrap_socket(plain) as wrapped,
            ):
                if wrapped.recv(1) != b".":
                    raise SystemExit("the handshake was not completed")

    connect(8)
    threads = [threading.Thread(target=connect, args=(count // THREADS,)) for _ in range(THREADS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(count // THREADS * THREADS / (time.perf_counter() - began), flush=True)


main()
