from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from jevons.exporters import EXPORTERS
from jevons.exporters.catalogue import ACCOUNT, CATALOGUE, DEVICE_INFO
from jevons.exporters.exporter import Sources
from jevons.exporters.prometheus import PrometheusExporter
from jevons.proxy.exchange import (
    Attempt,
    Coefficients,
    Endpoint,
    Energy,
    EnergyStatus,
    Method,
    Outcome,
    Plan,
    Reason,
    Record,
    Target,
    Upstream,
    Usage,
)
from jevons.proxy.metering_state import BypassState, DeviceState, MeteringState
from jevons.proxy.observed import Intensity

ACCOUNTS = {"attributed": 60.0, "idle": 30.0, "bypass": 0.0, "unresolved": 10.0}
DEVICE = DeviceState(
    device="GPU-1",
    name="Card (simulated)",
    is_up=True,
    reason=None,
    watts=250.5,
    counter_joules=110.0,
    settled_joules=100.0,
    accounts=ACCOUNTS,
    counter_power_ratio=1.01,
)
FINISHED = Record(
    "r1",
    "default",
    Endpoint.CHAT,
    0.0,
    upstream="chat",
    usage=Usage(prompt=10, cached=4, reasoning=None, completion=21),
    energy=Energy(joules=12.0),
    attempts=(Attempt("chat", Outcome.OK, Usage(prompt=10, cached=4, reasoning=None, completion=21), Energy(joules=12.0)),),
    outcome=Outcome.OK,
    time_to_first_token_seconds=0.5,
    duration_seconds=2.5,
    stream=True,
)


def exporter(state: MeteringState | None = None) -> PrometheusExporter:
    """An exporter of two upstreams and one device."""
    taken = state or MeteringState((DEVICE,), 0.4, {"chat": Coefficients(3.0, 0.07, 1e-6, 0.01)})
    sources = Sources(
        upstreams=("chat", "thinker"),
        policies=("caller", "rules"),
        metering=lambda: taken,
        version="1.2.3",
        clock=lambda: 1.8e9,
    )
    return PrometheusExporter(sources)


def series(made: PrometheusExporter) -> dict[str, float]:
    """Every sample of a scrape by its name and labels, as `name{label="value"}`."""
    text = made.render()[0].decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    assert len({name for name, _ in lines}) == len(lines)
    return {name: float(value) for name, value in lines}


def test_metering_is_served_from_one_snapshot():
    """One scrape takes metering once, so that its figures belong together."""
    taken = count()

    def metering() -> MeteringState:
        return MeteringState(settle_lag_seconds=next(taken))

    made = PrometheusExporter(Sources(upstreams=(), policies=(), metering=metering, version="1"))
    assert series(made)["jevons_settle_lag_seconds"] == 0
    assert series(made)["jevons_settle_lag_seconds"] == 1


def test_every_figure_of_a_device_is_served():
    """Energy by account, counter, power, state, name and ratio carry the device's id."""
    scrape = series(exporter())
    assert scrape['jevons_device_energy_joules_total{device="GPU-1"}'] == 100.0
    for account, joules in ACCOUNTS.items():
        assert scrape[f'jevons_energy_joules_total{{account="{account}",device="GPU-1"}}'] == joules
    assert scrape['jevons_device_counter_joules_total{device="GPU-1"}'] == 110.0
    assert scrape['jevons_device_power_watts{device="GPU-1"}'] == 250.5
    assert scrape['jevons_meter_up{device="GPU-1"}'] == 1
    assert scrape['jevons_device_info{device="GPU-1",name="Card (simulated)"}'] == 1
    assert scrape['jevons_counter_power_ratio{device="GPU-1"}'] == 1.01
    assert scrape["jevons_settle_lag_seconds"] == 0.4
    assert scrape['jevons_coefficient{term="fixed_joules_per_step",upstream="chat"}'] == 3.0
    assert scrape['jevons_coefficient{term="joules_per_context_token",upstream="chat"}'] == 1e-6
    assert scrape['jevons_build_info{version="1.2.3"}'] == 1


def test_what_is_unknown_is_absent():
    """A device that cannot be read is down and has no reading, rather than one of 0; what it has settled stays."""
    lost = replace(DEVICE, is_up=False, reason="GPU is lost", watts=None, counter_joules=None, counter_power_ratio=None)
    scrape = series(exporter(MeteringState((lost,))))
    assert scrape['jevons_meter_up{device="GPU-1"}'] == 0
    assert scrape['jevons_device_energy_joules_total{device="GPU-1"}'] == 100.0
    for name in ("jevons_device_counter_joules_total", "jevons_device_power_watts", "jevons_counter_power_ratio"):
        assert not [sample for sample in scrape if sample.startswith(name)]


@given(st.lists(st.floats(0, 1e12), min_size=4, max_size=4))
def test_a_scrape_loses_no_digit(parts):
    """The accounts that a scrape gives are the very numbers that metering has, so their sum is the same."""
    accounts = dict(zip(ACCOUNT.values, parts, strict=True))
    scrape = series(exporter(MeteringState((replace(DEVICE, accounts=accounts, settled_joules=sum(parts)),))))
    served = [scrape[f'jevons_energy_joules_total{{account="{account}",device="GPU-1"}}'] for account in ACCOUNT.values]
    assert served == parts
    assert sum(served) == scrape['jevons_device_energy_joules_total{device="GPU-1"}']


def test_series_exist_before_they_count():
    """A counter of a configured upstream that has counted nothing is served as 0."""
    scrape = series(exporter())
    for upstream in ("chat", "thinker"):
        assert scrape[f'jevons_requests_total{{outcome="ok",upstream="{upstream}"}}'] == 0
        assert scrape[f'jevons_tokens_total{{type="reasoning",upstream="{upstream}"}}'] == 0
        assert scrape[f'jevons_request_energy_joules_count{{upstream="{upstream}"}}'] == 0
        assert scrape[f'jevons_requests_in_flight{{upstream="{upstream}"}}'] == 0
        assert scrape[f'jevons_switch_not_honoured_total{{upstream="{upstream}"}}'] == 0
    assert scrape['jevons_requests_total{outcome="rejected",upstream="other"}'] == 0
    assert scrape['jevons_route_decisions_total{decision="unsure",policy="rules"}'] == 0
    assert scrape['jevons_config_reload_total{outcome="failed"}'] == 0


def test_an_ended_request_is_counted():
    """Requests, tokens, joules and times of a record all land at its upstream."""
    made = exporter()
    made.answered(FINISHED)
    made.export(FINISHED)
    scrape = series(made)
    assert scrape['jevons_requests_total{outcome="ok",upstream="chat"}'] == 1
    for kind, tokens in {"prompt": 10, "cached": 4, "reasoning": 0, "completion": 21}.items():
        assert scrape[f'jevons_tokens_total{{type="{kind}",upstream="chat"}}'] == tokens
    assert scrape['jevons_request_energy_joules_sum{upstream="chat"}'] == 12.0
    assert scrape['jevons_request_energy_joules_bucket{le="10.0",upstream="chat"}'] == 0
    assert scrape['jevons_request_energy_joules_bucket{le="25.0",upstream="chat"}'] == 1
    assert scrape['jevons_time_to_first_token_seconds_sum{upstream="chat"}'] == 0.5
    assert scrape['jevons_request_duration_seconds_sum{upstream="chat"}'] == 2.5
    assert scrape['jevons_time_per_output_token_seconds_sum{upstream="chat"}'] == pytest.approx(0.1)


def test_every_try_pays_its_own_tokens():
    """The tokens of a rejected try count at the upstream that made them, the request at the one that answered."""
    made = exporter()
    first = Attempt("thinker", Outcome.UPSTREAM_ERROR, Usage(prompt=10, completion=3), Energy(joules=5.0))
    made.answered(structs.replace(FINISHED, attempts=(first, *FINISHED.attempts)))
    scrape = series(made)
    assert scrape['jevons_tokens_total{type="completion",upstream="thinker"}'] == 3
    assert scrape['jevons_tokens_total{type="completion",upstream="chat"}'] == 21
    assert scrape['jevons_requests_total{outcome="upstream_error",upstream="thinker"}'] == 0


@pytest.mark.parametrize("energy", [Energy(), Energy(joules=5.0, status=EnergyStatus.PROVISIONAL)])
def test_energy_that_is_not_known_is_not_observed(energy):
    """Unknown joules are no zero, and provisional ones are no answer: the histogram waits for neither."""
    made = exporter()
    made.export(structs.replace(FINISHED, energy=energy))
    assert series(made)['jevons_request_energy_joules_count{upstream="chat"}'] == 0


def test_energy_is_observed_when_it_is_final_and_the_request_when_it_ends():
    """The end of a request and the settling of its energy are two moments, and neither counts for the other."""
    made = exporter()
    made.answered(FINISHED)
    assert series(made)['jevons_requests_total{outcome="ok",upstream="chat"}'] == 1
    assert series(made)['jevons_request_energy_joules_count{upstream="chat"}'] == 0
    made.export(FINISHED)
    assert series(made)['jevons_requests_total{outcome="ok",upstream="chat"}'] == 1
    assert series(made)['jevons_request_energy_joules_count{upstream="chat"}'] == 1


def test_a_request_in_flight_is_not_counted():
    """A record without an outcome changes nothing."""
    made = exporter()
    made.answered(structs.replace(FINISHED, outcome=None))
    assert series(made) == series(exporter())


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": False},
        {"usage": Usage(completion=1)},
        {"usage": Usage()},
        {"time_to_first_token_seconds": None},
        {"duration_seconds": None},
    ],
)
def test_time_per_token_needs_a_stream_of_several(changes):
    """Without a first token, a stream or a second token there is no time per token."""
    made = exporter()
    made.answered(structs.replace(FINISHED, **changes))
    assert series(made)['jevons_time_per_output_token_seconds_count{upstream="chat"}'] == 0


def test_sequences_side_by_side_are_one_stream_of_time():
    """With two sequences of eleven tokens each there are ten steps, not twenty-one."""
    made = exporter()
    made.answered(structs.replace(FINISHED, usage=Usage(completion=22), sequences=2))
    assert series(made)['jevons_time_per_output_token_seconds_sum{upstream="chat"}'] == pytest.approx(0.2)


@pytest.mark.parametrize("upstream", [None, "evil-model-name"])
def test_what_the_configuration_does_not_name_is_other(upstream):
    """No client can make a series: an unknown upstream is `other`."""
    made = exporter()
    made.answered(structs.replace(FINISHED, upstream=upstream, attempts=(), outcome=Outcome.REJECTED))
    made.switch_not_honoured("evil-model-name")
    made.route_decided("evil-policy", "direct")
    scrape = series(made)
    assert scrape['jevons_requests_total{outcome="rejected",upstream="other"}'] == 1
    assert scrape['jevons_switch_not_honoured_total{upstream="other"}'] == 1
    assert scrape['jevons_route_decisions_total{decision="direct",policy="other"}'] == 1
    assert "evil" not in made.render()[0].decode()


def test_events_are_counted_where_they_happen():
    """In-flight requests, decisions, ignored switches and reloads each move their own series."""
    made = exporter()
    made.request_started("chat")
    made.request_started("chat")
    made.request_ended("chat")
    made.route_decided("rules", "reasoning")
    made.switch_not_honoured("thinker")
    made.config_reloaded(is_ok=True)
    made.config_reloaded(is_ok=False)
    scrape = series(made)
    assert scrape['jevons_requests_in_flight{upstream="chat"}'] == 1
    assert scrape['jevons_route_decisions_total{decision="reasoning",policy="rules"}'] == 1
    assert scrape['jevons_switch_not_honoured_total{upstream="thinker"}'] == 1
    assert scrape['jevons_config_reload_total{outcome="ok"}'] == 1
    assert scrape['jevons_config_reload_total{outcome="failed"}'] == 1


def test_two_exporters_share_nothing():
    """There is no global registry: what one counts the other does not."""
    one, other = exporter(), exporter()
    one.answered(FINISHED)
    assert series(other)['jevons_requests_total{outcome="ok",upstream="chat"}'] == 0


def test_the_format_follows_the_accept_header():
    """A plain request gets the classic text and one that accepts OpenMetrics gets that; both parse and hold the same."""
    made = exporter()
    made.answered(FINISHED)
    text, text_type = made.render()
    openmetrics, openmetrics_type = made.render("application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert text_type.startswith("text/plain")
    assert openmetrics_type.startswith("application/openmetrics-text")
    assert openmetrics.endswith(b"# EOF\n")
    values = [
        {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in parsed for sample in family.samples}
        for parsed in (parse_text(text.decode()), parse_openmetrics(openmetrics.decode()))
    ]
    assert values[0] == values[1]


def test_every_metric_of_the_catalogue_is_served_as_it_says():
    """What the catalogue lists, and nothing else, is served under its name, its type, its help and its labels."""
    families = {family.name: family for family in exporter().collect()}
    assert set(families) == {metric.name.removesuffix("_total") for metric in CATALOGUE}
    for metric in CATALOGUE:
        family = families[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.label_names)
            assert all(not label.values or sample.labels[label.name] in label.values for label in metric.labels)


def test_the_table_makes_the_exporter():
    """The table of exporters holds it under its name."""
    sources = Sources(upstreams=("chat",), policies=(), metering=MeteringState, version="1")
    made = EXPORTERS["prometheus"](sources)
    made.export(FINISHED)
    assert isinstance(made, PrometheusExporter)
    assert series(made)['jevons_request_energy_joules_count{upstream="chat"}'] == 1
    assert DEVICE_INFO.name not in {name.split("{")[0] for name in series(made)}


def test_traffic_past_us_is_served():
    """Tokens that a server served to others, and whether it is known at all; suspicion goes with the device."""
    bypass = {
        "chat": BypassState(is_watched=True, prompt_tokens=70.0, output_tokens=5.0),
        "thinker": BypassState(is_watched=False),
    }
    scrape = series(exporter(MeteringState((replace(DEVICE, is_bypass_suspected=True),), bypass=bypass)))
    assert scrape['jevons_engine_metrics_up{upstream="chat"}'] == 1
    assert scrape['jevons_engine_metrics_up{upstream="thinker"}'] == 0
    assert scrape['jevons_bypass_tokens_total{type="prompt",upstream="chat"}'] == 70.0
    assert scrape['jevons_bypass_tokens_total{type="output",upstream="chat"}'] == 5.0
    assert not any("bypass_tokens" in name and "thinker" in name for name in scrape)
    assert scrape['jevons_bypass_suspected{device="GPU-1"}'] == 1


def test_the_grid_is_served_with_its_source():
    """The intensity and the time that it is for; a constant is for all times, and what is unknown is absent."""
    scrape = series(exporter(MeteringState(intensity=Intensity(360.0, "file", 1.7e9))))
    assert scrape['jevons_carbon_intensity_grams_per_joule{source="file"}'] == pytest.approx(1e-4)
    assert scrape['jevons_carbon_intensity_timestamp_seconds{source="file"}'] == 1.7e9
    scrape = series(exporter(MeteringState(intensity=Intensity(0.0, "constant"))))
    assert scrape['jevons_carbon_intensity_grams_per_joule{source="constant"}'] == 0.0
    assert not any("carbon_intensity_timestamp" in name for name in scrape)
    assert not any("carbon" in name for name in series(exporter()))


def test_estimates_are_kept_apart():
    """What was not measured is counted by itself, and never among what was."""
    made = exporter()
    made.export(structs.replace(FINISHED, energy=Energy(joules=12.0, method=Method.ESTIMATED)))
    scrape = series(made)
    assert scrape['jevons_estimated_energy_joules_total{upstream="chat"}'] == 12.0
    assert scrape['jevons_request_energy_joules_count{upstream="chat"}'] == 0


def test_energy_goes_to_its_tenant_and_its_route():
    """By the names that the keys and the policies have; another tenant is counted as other, and unknown energy in none."""
    sources = Sources(
        upstreams=("chat",), policies=("caller", "rules"), metering=MeteringState, version="1", tenants=("alice", "bob")
    )
    made = PrometheusExporter(sources)
    plan = Plan((Target(Upstream("chat", "http://127.0.0.1:1/v1", "m")),), (Reason("rules", "proofs", "chat"),), "reasoning")
    for tenant, joules in (("alice", 5.0), ("alice", 2.0), ("mallory", 1.0), ("bob", None)):
        record = structs.replace(FINISHED, tenant=tenant, plan=plan, energy=structs.replace(FINISHED.energy, joules=joules))
        made.answered(record)
        made.export(record)
    scrape = series(made)
    assert scrape['jevons_tenant_energy_joules_total{tenant="alice"}'] == 7.0
    assert scrape['jevons_tenant_energy_joules_total{tenant="bob"}'] == 0.0
    assert scrape['jevons_tenant_energy_joules_total{tenant="other"}'] == 1.0
    assert scrape['jevons_tenant_requests_total{tenant="bob"}'] == 1.0
    assert scrape['jevons_route_energy_joules_total{decision="reasoning",policy="rules"}'] == 8.0


def test_names_that_a_reload_brings_are_names_from_then_on():
    """Until then they are `other`; what a reload drops keeps what it has counted."""
    made = exporter()
    made.request_started("new")
    made.know(upstreams=["new"], policies=["session"], tenants=["bob"])
    made.request_started("new")
    made.request_ended("new")
    made.route_decided("session", "reasoning")
    shown = series(made)
    assert shown['jevons_requests_in_flight{upstream="other"}'] == 1
    assert shown['jevons_requests_in_flight{upstream="new"}'] == 0
    assert shown['jevons_route_decisions_total{decision="reasoning",policy="session"}'] == 1


def test_a_snapshot_carries_its_own_time():
    """The one at which metering was taken, to the last digit, whenever it is rendered."""
    times = iter([1.8e9 + 0.123456, 1.8e9 + 7.0])
    sources = Sources(upstreams=(), policies=(), metering=MeteringState, version="1", clock=lambda: next(times))
    render = PrometheusExporter(sources).take()
    for _ in range(2):
        assert b"jevons_snapshot_timestamp_seconds 1.800000000123456e+09\n" in render("")[0]


def test_scores_and_escalations_reach_the_page_and_other_processes():
    """Counted in one process, they are what the other adds up."""
    worker, owner = exporter(), exporter()
    thinker = Target(Upstream("thinker", "http://127.0.0.1:2/v1", "r"), thinking=True)
    plan = Plan((thinker,), (Reason("rules", "x", "direct"), Reason("escalate", "json", "reasoning")), "reasoning")
    refused = Attempt("chat", Outcome.REJECTED, Usage(), Energy(joules=4.0))
    escalated = structs.replace(
        FINISHED, plan=plan, upstream="thinker", attempts=(refused, structs.replace(refused, outcome=Outcome.OK))
    )
    worker.answered(escalated)
    worker.export(escalated)
    worker.scored(escalated, 0.75)
    owner.add_changes(worker.take_changes())
    for made, times in ((owner, 1.0), (worker, 0.0)):
        scrape = series(made)
        assert scrape['jevons_feedback_score_sum{arm="routed",tier="reasoning"}'] == 0.75 * times
        assert scrape['jevons_feedback_score_bucket{arm="routed",le="0.8",tier="reasoning"}'] == times
        assert scrape['jevons_escalations_total{reason="json"}'] == times
        assert scrape['jevons_escalation_wasted_joules_total{reason="json"}'] == 4.0 * times
