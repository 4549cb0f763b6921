"""How many questions are at work in a process: so many, or a few with nothing beside them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager


class Slots:
    """Whoever waits first comes first."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = asyncio.Semaphore(count)
        self._alone = asyncio.Lock()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A place beside others."""
        async with self._free:
            yield

    @asynccontextmanager
    async def all(self) -> AsyncIterator[None]:
        """Every place: nothing else is at work."""
        async with self._alone, AsyncExitStack() as held:
            for _ in range(self._count):
                await held.enter_async_context(self._free)
            yield
