"""Conservation: whatever happens in whatever order, the parts sum to what was measured, and everything ends."""

from hypothesis import given, settings
from hypothesis import strategies as st
from metering_world import VirtualDevice, World, check_energies, check_memory, check_sums

from jevons.proxy.exchange import Usage
from jevons.proxy.metering.attribution import HORIZON_SECONDS
from jevons.proxy.metering.counter import GAP_SECONDS
from jevons.proxy.observed import ServedTokens

ENGINES = {"one": ("a",), "both": ("a", "b"), "other": ("b",), "power": ("c",), "none": ()}
"""`both` is tensor parallel over two devices and shares each with another engine."""

pauses = st.one_of(
    st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.25, 0.3]),
    st.floats(0.0, 0.5),
    st.sampled_from([2.0, 7.5, 8.5, 10.5, 12.0]),
)
numbers = st.integers(0, 7)
counts = st.none() | st.integers(0, 2000)
begins = st.tuples(
    st.just("begin"),
    st.sampled_from(sorted(ENGINES)),
    st.sampled_from(["streamed", "buffered", "prompt"]),
    st.integers(0, 5000),
    st.integers(1, 4),
)
chunks = st.tuples(st.just("chunks"), numbers, st.integers(1, 40))
finishes = st.tuples(st.just("finish"), numbers, counts, counts, counts, st.booleans())
ends = st.tuples(st.just("end"), numbers)
reads = st.tuples(st.just("read"), st.sampled_from("abc"), st.sampled_from(["ok", "ok", "ok", "fail", "still", "reset", "leap"]))
runs = st.tuples(st.just("run"), st.floats(0.05, 3.0))
waits = st.tuples(st.just("wait"), pauses)
others = st.tuples(
    st.just("others"), st.sampled_from(["one", "both", "power"]), st.integers(0, 3000), st.integers(0, 3000), st.booleans()
)
"""The server's own counters are read, and have grown by so many tokens of prompt and output, whoever they were for."""
events = st.one_of(begins, chunks, chunks, finishes, ends, reads, runs, waits, others, st.tuples(st.just("settle")))


def new_world():
    devices = [
        VirtualDevice("a", 400.0, lag_seconds=0.03),
        VirtualDevice("b", 130.0, has_power=False),
        VirtualDevice("c", 75.5, has_counter=False),
    ]
    return World({device.id: device for device in devices}, ENGINES)


def play(world, event):
    """Let one event happen; one that names an attempt that does not exist does nothing."""
    kind, *details = event
    if kind in {"chunks", "finish", "end"}:
        number, *details = details
        if number >= len(world.attempts):
            return
        work = world.attempts[number][1]
        if kind == "chunks":
            work.chunks(world.now, *details)
        elif kind == "finish":
            prompt, cached, completion, is_estimated = details
            usage = Usage(prompt=prompt, cached=cached, completion=completion, is_estimated=is_estimated)
            work.finish(world.now, usage)
        else:
            world.end(work)
    elif kind == "begin":
        engine, way, prompt, sequences = details
        world.begin(engine, way, prompt=prompt, sequences=sequences)
    elif kind == "others":
        engine, prompt, output, is_at_end = details
        served = world.served.get(engine, ServedTokens(0.0, 0.0))
        served = ServedTokens(served.prompt + prompt, served.output + output, prompt_at_end=is_at_end, output_at_end=is_at_end)
        world.served[engine] = served
        world.attribution.served((engine,), served, world.now)
    else:
        {"wait": world.wait, "read": world.read, "run": world.run, "settle": world.settle}[kind](*details)


@settings(max_examples=200, deadline=None)
@given(st.lists(events, min_size=20, max_size=60), st.booleans())
def test_the_parts_sum_to_the_meter(history, does_recover):
    """Attempts, readings and others' tokens in any order: sums are exact at every settlement, and all ends when time goes on.

    Among the readings are gaps, resets and leaps; among the engines one that is tensor parallel and shares its devices.
    """
    world = new_world()
    for event in history:
        play(world, event)
        if event[0] in {"settle", "run"}:
            check_sums(world)
            check_energies(world)
    for _, work in world.attempts:
        world.end(work)
    if does_recover:
        world.run(HORIZON_SECONDS + 4.0)
    world.wait(GAP_SECONDS + 1.0)
    world.settle()
    if does_recover:
        world.run(1.0)
    check_sums(world)
    check_energies(world)
    check_memory(world)
    assert all(work.account.is_final for _, work in world.attempts)


healthy = st.lists(
    st.one_of(begins, chunks, finishes, ends, st.tuples(st.just("run"), st.sampled_from([0.125, 0.25, 0.5, 2.0, 9.0]))),
    min_size=10,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(healthy)
def test_where_nothing_is_missing_everything_is_known(history):
    """With readings throughout nothing is unresolved, and every attempt on a device has its joules."""
    world = new_world()
    world.run(0.5)
    for event in history:
        play(world, event)
    for _, work in world.attempts:
        world.end(work)
    world.run(HORIZON_SECONDS + 1.0)
    check_sums(world)
    assert world.account_joules("unresolved") == 0
    for engine, work in world.attempts:
        energy = world.attribution.energy(engine, work.account)
        assert (energy.joules is None) == (engine == "none")
        assert "gap" not in energy.quality


others_too = st.lists(
    st.one_of(begins, chunks, finishes, others, others, st.tuples(st.just("run"), st.sampled_from([0.25, 1.0, 2.0]))),
    min_size=15,
    max_size=50,
)


@settings(max_examples=60, deadline=None)
@given(others_too)
def test_the_work_of_others_is_part_of_the_sum(history):
    """What goes past the proxy has its own account; with ours, idle and unresolved it is the meter."""
    world = new_world()
    world.run(0.5)
    for event in history:
        play(world, event)
        check_sums(world)
    for _, work in world.attempts:
        world.end(work)
    world.run(HORIZON_SECONDS + 14.0)
    check_sums(world)
    check_energies(world)
    assert all(work.account.is_final for _, work in world.attempts)
