"""Request bodies, by a coverage-guided fuzzer.

What cannot be read is a BadRequest, and what can is sent on unchanged but for its model.

`python tests/fuzz/fuzz_request.py -runs=100000 [CORPUS]`; the first byte of an input chooses the endpoint, the rest is the body.
"""

import json
import sys

import atheris

with atheris.instrument_imports(include=["jevons.proxy.wire"]):
    from jevons.proxy.errors import RequestError
    from jevons.proxy.exchange import Endpoint
    from jevons.proxy.wire.parsing import parse

ENDPOINTS = list(Endpoint)
FORM = "multipart/form-data; boundary=b"
SENT = "the-upstreams-model"


def try_one(data):
    """One body."""
    if not data:
        return
    endpoint, body = ENDPOINTS[data[0] % len(ENDPOINTS)], data[1:]
    is_form = endpoint is Endpoint.TRANSCRIPTIONS
    content_type = FORM if is_form else "application/json"
    try:
        request = parse(endpoint, content_type, body, request_id="r", headers={}, started_at=0.0)
    except RequestError:
        return
    sent = request.body.encode(SENT, {})
    try:
        before = json.loads(body)
    except ValueError:
        return  # a form; or broken in a part that is passed on unread, for the server to refuse
    after = json.loads(sent)
    if after.pop("model") != SENT or before.pop("model") != request.model or repr(before) != repr(after):
        raise AssertionError((endpoint, body, sent))


if __name__ == "__main__":
    atheris.Setup(sys.argv, try_one)
    atheris.Fuzz()
