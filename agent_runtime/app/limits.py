"""Every bound of the HTTP side in one place, each with its reason."""

from agent_runtime.guard.principal import Priority

MAX_BODY_BYTES = 2 << 20  # a long conversation with an image or two; larger belongs in a file
MAX_HEAD_BYTES = 32_768  # request line and headers; what common proxies allow
HEAD_SECONDS = 20.0  # to send them; a slower client is broken or hostile
BODY_SECONDS = 30.0  # to send the body
LINGER_SECONDS = 10.0  # to send the rest of a refused body: closing at once loses the answer
STALLED_SECONDS = 60.0  # without reading one byte of its answer; then a client is let go
MAX_CONNECTIONS = 4096  # leaves file descriptors for providers and the store
MAX_IN_FLIGHT = 1024  # chat requests; more than one core can stream at a useful pace
MAX_WAITING = 2048  # of each priority for a slot; a head and a task each, 50 MB at the worst
PATIENCE_SECONDS = {Priority.VIP: 5.0, Priority.NORMAL: 1.0, Priority.LOW: 1.0}
"""Whoever would wait longer for a slot is refused at once."""
QUEUE_SECONDS = 10.0  # a wait that was expected to be short; only higher priorities make it long
FIRST_GUESS_SECONDS = 1.0  # how long a slot is held, before there is any experience
LEARNING_RATE = 0.05  # what one request counts for in that experience
MAX_BODY_BYTES_IN_FLIGHT = 64 << 20  # of all of them together; keeps a small pod alive
REQUEST_SECONDS = 900.0  # a whole answer, however slow the model; no request lives for ever
KEEP_ALIVE_SECONDS = 75  # longer than common clients keep idle connections, so they close first
BACKLOG = 2048  # connections the kernel holds while the loop is busy
DISCONNECT_PATIENCE_SECONDS = 0.25  # quick answers never pay for watching the client

FORWARD_CONNECT_SECONDS = 2.0  # inside a cluster a connection is there at once or not at all
FORWARD_SILENCE_SECONDS = 300.0  # a sibling may wait for its own chain of providers
FORWARD_ATTEMPTS = 3  # a Service may name a pod that has just gone
FORWARD_PAUSE_SECONDS = 0.1  # before the second attempt; doubled, with jitter
MAX_FORWARDED_BYTES = 32 << 20  # of a whole answer

DRAIN_QUIET_SECONDS = 1.0  # without a request: then nobody sends us any more
DRAIN_MARGIN_SECONDS = 1.0  # at the end of the grace period, to tell those who are cut off
