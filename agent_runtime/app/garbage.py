"""When the garbage collector looks for objects that refer to each other in a circle: by the clock.

By itself it looks at young objects once there are so many more than before. While as many streams
end as begin there never are, so it comes seldom, meets what hundreds of streams have made
meanwhile, and holds everybody up for 30 to 50 ms. Ten times a second it meets little. Requests
leave hardly any circles; those that grew older than a moment are found in the end too.
"""

import asyncio
import gc
import itertools

YOUNG_EVERY_S = 0.1
OLDER_EVERY = 300
"""Of those looks one is at objects that survived a look before, twice a minute: 25 ms with 500
streams."""
ALL_EVERY = 6000
"""And one at all of them, in ten minutes."""


def settle() -> None:
    """Keep what lives as long as the process out of sight, and leave the rest to `look`."""
    gc.collect()
    gc.freeze()
    gc.disable()


async def look() -> None:
    """Collect for ever."""
    for turn in itertools.count(1):
        await asyncio.sleep(YOUNG_EVERY_S)
        gc.collect(_generation(turn))


def _generation(turn: int) -> int:
    if turn % ALL_EVERY == 0:
        return 2
    return 0 if turn % OLDER_EVERY else 1
