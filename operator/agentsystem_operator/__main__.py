"""Builds all parts from the settings, wires them, and runs them until SIGTERM.

The only module that knows every other; nothing imports it.
"""

import asyncio
import functools
import logging
import os
import signal
import sys
from collections.abc import Sequence

# kopf would import whatever Kubernetes client it finds and grow by 50 MB; the image has none, and
# a developer's environment must behave alike.
for _client in ("kubernetes", "kubernetes_asyncio", "pykube"):
    sys.modules[_client] = None  # type: ignore[assignment]  # this is how an import is barred

from agentsystem_operator import engine, handlers, settings  # noqa: E402 -- after the bar above
from agentsystem_operator.adapters import allocator, connection, logs  # noqa: E402
from agentsystem_operator.plan.channel import Place  # noqa: E402
from agentsystem_operator.shell.workforce import Stuck  # noqa: E402
from agentsystem_operator.wiring import Operator  # noqa: E402

logger = logging.getLogger("agentsystem_operator")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the operator; returns the process's exit code."""
    given = settings.parse(sys.argv[1:] if arguments is None else arguments)
    logs.configure(given.log_level)
    allocator.fix_thresholds()
    try:
        link = (
            connection.from_kubeconfig(given.kubeconfig)
            if given.kubeconfig
            else connection.in_cluster()
        )
    except connection.NoConnection as exc:
        logger.error("no cluster to work on: %s", exc)  # noqa: TRY400 -- the text says it all
        return 2
    # The standard event loop, not uvloop: after failed TLS handshakes uvloop 0.23 loses track of
    # descriptors that aiohttp has closed, and hands another connection's to the next one. On this
    # load it is no faster either.
    return asyncio.run(_run(given, link))


def _place(given: settings.Settings) -> Place | None:
    """Return what pods have to know of the channel, None without one."""
    if given.channel is None:
        return None
    return Place(given.namespace, port=given.channel[1], address=given.channel_service)


async def _run(given: settings.Settings, link: connection.Connection) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def take_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)

    take_signals()
    loop.set_exception_handler(handlers.complain)
    told = engine.Settings(
        given.runtime_image, allowed_images=given.allowed_images, channel=_place(given)
    )
    evaluate = functools.partial(engine.evaluate, settings=told)
    operator = Operator(given, link, evaluate=evaluate, stop=stop, take_signals=take_signals)
    try:
        await operator.run()
    except Stuck as exc:
        logger.critical("ending hard: %s", exc)
        os._exit(3)  # a stuck worker would survive any softer end, and might write
    except Exception:
        logger.exception("ending: a part of the operator broke")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
