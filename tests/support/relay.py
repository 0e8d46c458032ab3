"""A load balancer in front of Consul: it counts connections, and may cut a request that is idle for too long."""

from __future__ import annotations

import asyncio
import re
from typing import Self

_WAIT = re.compile(rb"[?&]wait=([0-9.]+)s")
_CUT = b"HTTP/1.1 504 Gateway Time-out\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Relay:
    """Passes connections on to a port of loopback; use as an async context manager.

    :param cut_after: seconds without an answer after which a query that asked to block for half as long again is
        answered with 504; None waits for ever. Other requests are let through, however busy the machine is.
    """

    def __init__(self, port: int, *, cut_after: float | None = None) -> None:
        self.cuts = 0
        self.now = 0
        self.peak = 0
        self.made = 0
        self._to = port
        self._serving: set[asyncio.Task[None]] = set()
        self._cut_after = cut_after

    @property
    def port(self) -> int:
        """The port to connect to."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        task.add_done_callback(lambda _: writer.close())  # also of one that was cancelled before it began
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.now += 1
        self.made += 1
        self.peak = max(self.peak, self.now)
        writers, tasks = [writer], []
        try:
            behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self._to)
            writers.append(behind_writer)
            is_asked = asyncio.Event()
            tasks = [
                asyncio.create_task(self._pass(reader, behind_writer, is_asked)),
                asyncio.create_task(self._answer(behind_reader, writer, is_asked)),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.now -= 1
            for task in tasks:
                task.cancel()
            for each in writers:
                each.close()
            await asyncio.gather(*tasks, *(each.wait_closed() for each in writers), return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_asked: asyncio.Event) -> None:
        while data := await reader.read(65536):
            wait = _WAIT.search(data)
            if self._cut_after is not None and wait is not None and float(wait[1]) > 1.5 * self._cut_after:
                is_asked.set()
            writer.write(data)
            await writer.drain()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_asked: asyncio.Event
    ) -> None:
        coming = asyncio.create_task(reader.read(65536))
        asking = asyncio.create_task(is_asked.wait())
        try:
            while True:
                await asyncio.wait({coming, asking}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait({coming}, timeout=self._cut_after)  # at once, where the answer has come
                if not coming.done():
                    self.cuts += 1
                    writer.write(_CUT)
                    await writer.drain()
                    return
                if not coming.result():
                    return
                is_asked.clear()
                asking.cancel()
                writer.write(coming.result())
                await writer.drain()
                coming = asyncio.create_task(reader.read(65536))
                asking = asyncio.create_task(is_asked.wait())
        finally:
            coming.cancel()
            asking.cancel()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await asyncio.sleep(0)  # what was closed just now is closed in the loop's next turn
