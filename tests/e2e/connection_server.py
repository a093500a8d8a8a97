"""Listens on the ports that it is given; whoever POSTs gets a chat completion.

It runs in a pod of the runtime image and uses the standard library only.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "far",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "words from afar"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4},
}


class Handler(BaseHTTPRequestHandler):
    """The least that an OpenAI client takes for an answer."""

    def do_POST(self) -> None:
        """Answer any request alike."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve for good."""
    for port in sys.argv[1:]:
        server = ThreadingHTTPServer(("", int(port)), Handler)
        threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main()
