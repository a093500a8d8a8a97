"""The floor: an ASGI app that answers a constant, on the runtime's server library."""

import sys

import uvicorn

BODY = b'{"choices":[{"message":{"content":"hello"}}]}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def app(scope, receive, send):  # type: ignore[no-untyped-def]  # ASGI as it is in examples
    """Read the request and answer."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False)
