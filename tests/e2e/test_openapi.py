"""Schemathesis: requests made from /openapi.json, good and bad, against the real proxy; what comes back is as described."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from jevons.proxy.server.openapi import openapi

EXAMPLES = 15
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


schema = schemathesis.openapi.from_dict(openapi("1"))


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_it_answers_as_described(case, proxy):
    """No server error, no status, content type or shape that the document does not have."""
    case.call_and_validate(base_url=proxy.main, checks=CHECKS)
