"""The whole list of metrics and their labels: adding one is a decision, not an accident."""

from __future__ import annotations

from agentsystem_operator.adapters.metrics import Metrics


def filled() -> Metrics:
    metrics = Metrics()
    metrics.queue_depth(lambda: 3)
    metrics.queue_paused(lambda: True)
    metrics.leader(lambda: False)
    metrics.watch_age("Service", lambda: 1.5)
    metrics.waited(0.1)
    metrics.passed("settled", 0.01)
    metrics.api_call("get", "Service", "ok")
    metrics.acted("Apply")
    metrics.systems({("Ready", "True"): 7})
    metrics.channel_pods(lambda: 2)
    metrics.channel_refused("BadToken")
    metrics.channel_reported()
    metrics.load({"in_flight": 3.0})
    return metrics


def test_the_list_of_metrics_and_labels_is_closed() -> None:
    families = {
        family.name: sorted(
            {label for sample in family.samples for label in sample.labels} - {"le"}
        )
        for family in filled().registry.collect()
    }
    assert families == {
        "agentsystem_actions": ["action"],
        "agentsystem_api_calls": ["kind", "outcome", "verb"],
        "agentsystem_channel_load": ["measure"],
        "agentsystem_channel_pods": [],
        "agentsystem_channel_refused": ["reason"],
        "agentsystem_channel_reports": [],
        "agentsystem_leader": [],
        "agentsystem_queue_depth": [],
        "agentsystem_queue_latency_seconds": [],
        "agentsystem_queue_paused": [],
        "agentsystem_reconcile_seconds": ["result"],
        "agentsystem_systems": ["condition", "status"],
        "agentsystem_watch_age_seconds": ["kind"],
        "process_cpu_seconds": [],
        "process_max_fds": [],
        "process_open_fds": [],
        "process_resident_memory_bytes": [],
        "process_start_time_seconds": [],
        "process_virtual_memory_bytes": [],
    }


def test_the_page_shows_live_values() -> None:
    page = filled().page().decode()
    assert "agentsystem_queue_depth 3.0" in page
    assert "agentsystem_queue_paused 1.0" in page
    assert 'agentsystem_systems{condition="Ready",status="True"} 7.0' in page
    assert 'agentsystem_api_calls_total{kind="Service",outcome="ok",verb="get"} 1.0' in page


def test_what_is_not_counted_any_more_is_not_shown() -> None:
    metrics = filled()
    metrics.systems({})
    assert "agentsystem_systems{" not in metrics.page().decode()
