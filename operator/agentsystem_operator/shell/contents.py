"""Contents of the users' ConfigMaps that some AgentSystem refers to.

Fetched one by one when first needed; a metadata-only watch says when one is outdated. A ConfigMap
that nobody refers to is not remembered and wakes nobody. Losing an entry costs one read.
"""

from collections import OrderedDict
from collections.abc import Callable, Set
from dataclasses import dataclass

from agentsystem_operator.model import observed
from agentsystem_operator.model.references import SystemKey

BYTES_MAX = 32 * 1024 * 1024
"""Contents kept in memory; beyond this the least used are read again when needed."""

Name = tuple[str, str]
"""Namespace and name."""
Content = observed.Text | observed.Absent


@dataclass(frozen=True, slots=True)
class Seen:
    """One ConfigMap, as far as the watch tells."""

    namespace: str
    name: str
    version: str


class Contents:
    """The cache, who refers to what, and the sink of the metadata watch."""

    def __init__(self, *, changed: Callable[[SystemKey], None]) -> None:
        self._changed = changed
        self._contents: OrderedDict[Name, Content] = OrderedDict()
        self._bytes = 0
        self._versions: dict[Name, str] = {}
        self._epochs: dict[Name, int] = {}
        self._users: dict[Name, set[SystemKey]] = {}
        self._used: dict[SystemKey, frozenset[str]] = {}

    def get(self, namespace: str, name: str) -> Content | None:
        """Return a content that is current as far as the watch tells, or None to go and read."""
        found = self._contents.get((namespace, name))
        if found is not None:
            self._contents.move_to_end((namespace, name))
        return found

    def expect(self, key: SystemKey, names: Set[str]) -> None:
        """Start to follow ConfigMaps before they are read: no change between may be missed."""
        self.refer(key, self._used.get(key, frozenset()) | names)

    def refer(self, key: SystemKey, names: Set[str]) -> None:
        """Replace the set of ConfigMaps that a system refers to."""
        before = self._used.get(key, frozenset())
        for name in names - before:
            self._users.setdefault((key.namespace, name), set()).add(key)
        for name in before - names:
            self._unrefer(key, (key.namespace, name))
        if names:
            self._used[key] = frozenset(names)
        else:
            self._used.pop(key, None)

    def epoch(self, namespace: str, name: str) -> int:
        """Return a number that changes whenever the watch reports a change."""
        return self._epochs.get((namespace, name), 0)

    def put(self, namespace: str, name: str, content: Content, *, epoch: int) -> None:
        """Keep what was read since `epoch`, unless it changed meanwhile or is used no more."""
        if (namespace, name) not in self._users or epoch != self.epoch(namespace, name):
            return
        self._discard((namespace, name))
        self._contents[namespace, name] = content
        self._bytes += _size(content)
        while self._bytes > BYTES_MAX and len(self._contents) > 1:
            self._discard(next(iter(self._contents)))

    def saw(self, live: Seen) -> None:
        """Take from the watch that a ConfigMap exists in that version."""
        name = (live.namespace, live.name)
        if name not in self._users or self._versions.get(name) == live.version:
            return
        self._outdated(name, live.version)

    def gone(self, live: Seen) -> None:
        """Take from the watch that a ConfigMap was deleted."""
        name = (live.namespace, live.name)
        if name in self._users:
            self._outdated(name, "")

    def listed(
        self, scope: str | None, *, found: Set[tuple[str, str]], version: str, went_back: bool
    ) -> None:
        """Take from a complete list that every other ConfigMap does not exist."""
        del version, went_back  # a needless read is the worst that can happen
        for name in list(self._users):
            if scope in (None, name[0]) and name not in found and self._is_there(name):
                self._outdated(name, "")

    def _is_there(self, name: Name) -> bool:
        """Say whether the watch or, if it never told of the name, a read showed a ConfigMap."""
        return bool(self._versions.get(name)) or isinstance(self._contents.get(name), observed.Text)

    def _outdated(self, name: Name, version: str) -> None:
        self._versions[name] = version
        self._epochs[name] = self._epochs.get(name, 0) + 1
        self._discard(name)
        for key in self._users[name]:
            self._changed(key)

    def _unrefer(self, key: SystemKey, name: Name) -> None:
        users = self._users[name]
        users.discard(key)
        if not users:
            del self._users[name]
            self._versions.pop(name, None)
            self._epochs.pop(name, None)
            self._discard(name)

    def _discard(self, name: Name) -> None:
        content = self._contents.pop(name, None)
        if content is not None:
            self._bytes -= _size(content)


def _size(content: Content) -> int:
    if isinstance(content, observed.Absent):
        return 0
    return sum(len(key) + len(text) for key, text in content.items.items())
