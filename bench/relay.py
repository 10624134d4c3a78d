"""A link between a gateway and its store: a TCP relay with a bandwidth, which can be cut and mended."""

import asyncio
import threading
import time


class Relay:
    """Listens on a loopback port and relays to `target_port`. Bytes towards the target go at `bytes_per_second`, all connections together."""

    CHUNK = 64 << 10

    def __init__(self, target_port, bytes_per_second):
        self.target_port, self.rate = target_port, bytes_per_second
        self.sent_bytes, self.port = 0, None
        self.is_cut, self.free_at = False, 0.0
        self.writers = set()
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait()

    def _run(self, ready):
        asyncio.set_event_loop(self.loop)
        self.server = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = self.server.sockets[0].getsockname()[1]
        ready.set()
        self.loop.run_forever()

    def cut(self):
        """Connections end, new ones are closed at once."""
        self.is_cut = True
        self.loop.call_soon_threadsafe(lambda: [writer.transport.abort() for writer in list(self.writers)])

    def mend(self):
        self.is_cut = False

    def end(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    async def _serve(self, reader, writer):
        if self.is_cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            return
        self.writers |= {writer, far_writer}
        try:
            await asyncio.gather(self._copy(reader, far_writer, True), self._copy(far_reader, writer, False))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.writers -= {writer, far_writer}
            for end in (writer, far_writer):
                end.transport.abort()

    async def _copy(self, reader, writer, is_paced):
        while chunk := await reader.read(self.CHUNK):
            if is_paced:
                now = time.monotonic()
                self.free_at = max(self.free_at, now - 0.05) + len(chunk) / self.rate
                if self.free_at > now:
                    await asyncio.sleep(self.free_at - now)
                self.sent_bytes += len(chunk)
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
