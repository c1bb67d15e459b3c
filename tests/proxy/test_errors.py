"""Tests of the errors that clients see."""

import json

import pytest

from jevons.proxy import errors
from jevons.proxy.errors import ConfigError, JevonsError, ModelNotFound, NotFound, RequestError, UpstreamError, UpstreamTimedOut


def kinds(root=RequestError):
    """Every class of error below `root`."""
    return [root, *(kind for child in root.__subclasses__() for kind in kinds(child))]


@pytest.mark.parametrize("kind", kinds())
def test_every_error_is_one_that_openai_clients_know(kind):
    """Each class has an HTTP status of an error, a type, and the body in OpenAI's shape."""
    error = kind("no-such-model") if kind is ModelNotFound else kind("What went wrong.", param="field")
    assert 400 <= error.status < 600
    body = json.loads(error.body())["error"]
    assert body.keys() == {"message", "type", "param", "code"}
    assert body["type"] == error.type
    assert body["message"] == error.message


def test_an_unknown_model_names_its_field():
    """`model_not_found`, with the parameter and the name that was asked for."""
    error = ModelNotFound("gpt-9")
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert "gpt-9" in error.message
    assert isinstance(error, NotFound)


def test_headers_go_with_the_error():
    """What a status asks for besides the body, such as Retry-After."""
    assert errors.MethodNotAllowed("No.", headers={"allow": "POST"}).headers == {"allow": "POST"}
    assert errors.MethodNotAllowed("No.").headers == {}


def test_a_configuration_error_keeps_every_problem():
    """One line each, in order."""
    error = ConfigError(["a.yaml:1:1: x: bad", "a.yaml:2:1: y: bad"])
    assert error.problems == str(error).split("\n")
    assert isinstance(error, JevonsError)


def test_a_timeout_is_an_upstream_error():
    """Whoever handles a failed upstream handles a silent one."""
    assert isinstance(UpstreamTimedOut("Late."), UpstreamError)
