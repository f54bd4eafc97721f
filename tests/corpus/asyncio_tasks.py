"""Tasks that wait for what never comes, beside tasks that end."""
import asyncio
import os

from pace import turns

waiting = set()


async def wait_for(n, gate):
    body = bytes(1500 + n % 10)  # LEAK
    await gate.wait()  # LEAK
    return body


async def work(n):
    body = bytes(1500 + n % 10)
    await asyncio.sleep(0)
    return len(body)


async def main():
    gate = asyncio.Event()
    for n in turns(wait=False):
        for i in range(8):
            waiting.add(asyncio.ensure_future(wait_for(i, gate)))  # LEAK
        await asyncio.gather(*[work(i) for i in range(8)])
        await asyncio.sleep(0.01)
    os._exit(0)  # to cancel so many takes seconds, and allocates as a leak does


asyncio.run(main())  # LEAK
