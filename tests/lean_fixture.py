"""A scenario on the loop of the standard library and on the product's."""

import asyncio

import pytest
import uvloop

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request):
    """Run a scenario to its end, within ten seconds, on either loop; what goes wrong in a callback fails it too."""

    def run(scenario):
        bugs = []

        async def watched():
            asyncio.get_running_loop().set_exception_handler(lambda _, context: bugs.append(context))
            async with asyncio.timeout(10):
                return await scenario

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            result = runner.run(watched())
        assert bugs == []
        return result

    return run
