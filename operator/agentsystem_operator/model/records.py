"""What a ControllerRevision of ours holds: one entry per agent, with what it was given (I21).

Written by plan, read back by whoever projects live objects. Everything may import this.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agentsystem_operator.model.observed import Pin


def entry(name: str, pin: Pin, declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of one agent: its pin, and the declaration that the pin belongs to."""
    return {
        "name": name,
        "declared": declared,
        "pin": {
            "declared": pin.declared,
            "revision": pin.revision,
            "template": pin.template,
            "image": pin.image,
            "defaults": dict(pin.defaults),
        },
    }


def pins_of(data: Any) -> Mapping[str, Pin]:
    """Return the pins by agent; an entry that is not one of ours is left out, never an error.

    Losing a pin is harmless: the agent is rendered with today's defaults.
    """
    agents = data.get("agents") if isinstance(data, Mapping) else None
    if not isinstance(agents, Sequence):
        return {}
    found = ((_name_of(item), _pin_of(item)) for item in agents)
    return {name: pin for name, pin in found if name and pin}


def _name_of(item: Any) -> str:
    name = item.get("name") if isinstance(item, Mapping) else None
    return name if isinstance(name, str) else ""


def _pin_of(item: Any) -> Pin | None:
    pin = item.get("pin") if isinstance(item, Mapping) else None
    if not isinstance(pin, Mapping):
        return None
    texts = [pin.get(name) for name in ("declared", "revision", "image")]
    template, defaults = pin.get("template"), pin.get("defaults")
    if not all(isinstance(text, str) for text in texts):
        return None
    if not isinstance(template, int) or not isinstance(defaults, Mapping):
        return None
    if not all(isinstance(k, str) and isinstance(v, str | int) for k, v in defaults.items()):
        return None
    declared, revision, image = (str(text) for text in texts)
    return Pin(declared, revision, template, image, dict(defaults))
