"""The HTTP face of the runtime: config, ASGI app, server. Only this package builds parts."""
