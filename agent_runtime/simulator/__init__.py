"""A provider that is none: both wire protocols over real sockets, and every way to fail.

Started by `agent-runtime simulate` and only there: nothing that serves agents may import it. It
reads the scripts of the Scripted provider and knows nothing else of the runtime.
"""
