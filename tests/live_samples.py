"""Events of the live page as the admin listener sends them."""

from __future__ import annotations


def reading(at, attributed=0.0, idle=0.0, watts=100.0, in_flight=1):
    """One second's."""
    joules = {"attributed": attributed, "idle": idle, "bypass": 0.0, "unresolved": 0.0}
    return {"at": at, "joules": joules, "watts": watts, "in_flight": in_flight}


def request(number=1, upstream="chat", joules=20.0, completion=10, **fields):
    """One that has ended."""
    known = joules is not None
    energy = {"joules": joules, "low": 18.0 if known else None, "high": 22.0 if known else None, "method": "measured"}
    return {
        "id": f"req_{number}", "at": 1_795_435_200.0 + number, "tenant": "alice", "upstream": upstream, "route": "rules:x",
        "tokens": {"prompt": 5, "completion": completion}, "energy": energy, "outcome": "ok", "seconds": 1.5, **fields,
    }  # fmt: skip


DEVICE = {"device": "GPU-1", "name": "card", "is_up": True, "reason": None, "watts": 100.0, "counter_power_ratio": 1.01}


def surroundings(**fields):
    """What comes with every event."""
    return {"devices": [DEVICE], "upstreams": {"chat": True}, "budgets": [], "saving": None, **fields}


def state(readings=(), requests=(), **fields):
    """The first event."""
    return {"kind": "state", "version": "0.1.0", "readings": list(readings), "requests": list(requests), **surroundings(**fields)}


def tick(one, requests=(), **fields):
    """Each that follows."""
    return {"kind": "tick", "reading": one, "requests": list(requests), **surroundings(**fields)}
