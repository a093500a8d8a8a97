"""Sweeps of failing calls and tampering hit what they say, and their judges can fail."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from bench import faults, report
from tests.chaos import owned, trial
from tests.chaos.faults import Fault
from tests.chaos.record import OBJECT, Record
from tests.chaos.sweeps import api_faults, spec_walk
from tests.chaos.trial import NOTHING, Verdict
from tests.kube import Object

LIVE: Object = {
    "metadata": {
        "labels": {"app": "one"},
        "managedFields": [
            {
                "manager": "agentsystem",
                "operation": "Apply",
                "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:app": {}}},
                    "f:spec": {
                        "f:ports": {'k:{"port":80}': {".": {}, "f:port": {}, "f:name": {}}},
                        "f:selector": {},
                    },
                },
            }
        ],
    },
    "spec": {
        "ports": [{"port": 9}, {"port": 80, "name": "http"}],
        "selector": {"app": "one"},
    },
}


def test_three_calls_in_ten_fail_in_every_way_and_equally_with_the_same_seed() -> None:
    def hits(seed: int) -> list[Fault | None]:
        record = Record(seed)
        path = "/api/v1/namespaces/shop/services/one"
        return [api_faults.often(record.begin("PATCH", path, {}).asked) for _ in range(2000)]

    found = hits(1)
    assert 500 < sum(fault is not None for fault in found) < 700
    assert set(found) == {None, *api_faults.FAULTS}
    assert found == hits(1) != hits(2)


def test_an_object_that_was_made_again_or_deleted_under_fire_is_told() -> None:
    service: OBJECT = ("services", "sys--front")
    calm = replace(NOTHING.ending, created=Counter([service]))
    reference = trial.Reference(calm, None)
    seen = replace(calm, created=Counter([service, service]), deleted=Counter([service]))
    assert api_faults.kept(calm, reference) == []
    assert api_faults.kept(seen, reference) == [
        "services/sys--front was made 2 times, not 1",
        "services/sys--front was deleted 1 times",
    ]


def test_owned_fields_are_those_that_the_apiserver_records_as_ours() -> None:
    fields = owned.fields(LIVE)
    assert {name: found.path for name, found in fields.items()} == {
        "metadata.labels.app": ("metadata", "labels", "app"),
        "spec.ports[80]": ("spec", "ports", 1),
        "spec.ports[80].port": ("spec", "ports", 1, "port"),
        "spec.ports[80].name": ("spec", "ports", 1, "name"),
        "spec.selector": ("spec", "selector"),
    }
    assert fields["spec.ports[80].port"].is_key
    assert fields["spec.selector"].changed() == [
        {"op": "replace", "path": "/spec/selector", "value": {"app": "one-x"}}
    ]
    assert owned.fields(LIVE, "somebody") == {}


def test_a_volume_may_not_become_another_one_while_it_is_in_use() -> None:
    memory: Object = {"tier": "Development"}
    disk: Object = {"tier": "Testing"}
    larger: Object = {
        "tier": "Staging",
        "memory": {"sessions": {"store": "SQLite", "sqlite": {"size": "2Gi"}}},
    }
    assert spec_walk.is_migration(disk, larger)
    assert not spec_walk.is_migration(memory, larger)
    assert not spec_walk.is_migration(disk, disk)


def test_the_table_replaces_the_one_in_the_docs() -> None:
    verdicts = [Verdict("d", "image/under-fire", seed, (), 2.0) for seed in (1, 2)]
    found = faults.grid([*verdicts, Verdict("d", "image/under-fire", 3, ("no",), 9.0)], minutes=4)
    assert found.load == "2 passed, 1 failed in 4 min"
    row = "| (d) API faults on 30 % of calls for 2 min | image | 1 | 1, 2, 3 | 2 of 3 | 9 s |"
    assert found.markdown().splitlines()[-1] == row
    page = f"before\n{faults.BEGIN}\nold\n{faults.END}\nafter\n"
    once = faults.documented(page, found)
    assert faults.documented(once, found) == once
    assert row in once
    assert "old" not in once
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert isinstance(found, report.Grid)


def test_a_sweep_that_ran_by_itself_replaces_its_own_rows_only() -> None:
    page = f"{faults.BEGIN}\n{faults.END}"
    both = [
        Verdict("b", "image/midway", 1, ()),
        Verdict("d", "image/under-fire", 1, ("no",)),
        Verdict("d", "old/under-fire", 1, ("no",)),
    ]
    whole = faults.documented(page, faults.grid(both, minutes=4))
    assert "1 of 3 passed" in whole
    again = faults.grid([Verdict("d", "image/under-fire", 1, ())], minutes=1)
    repaired = faults.documented(whole, again)
    assert "2 of 2 passed" in repaired
    assert repaired.count("\n| (") == 2
