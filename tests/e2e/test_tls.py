"""HTTPS on the main listener: the same proxy, and what is no TLS gets nothing."""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import subprocess
from contextlib import closing

import pytest
from jevons_process import get

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no `openssl` on this machine")


@pytest.fixture
def certificate(tmp_path):
    """For 127.0.0.1, signed by itself."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=jevons", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    return tmp_path / "cert.pem"


def test_replies_and_streams_over_tls(models, serve, certificate):
    """Both legs of the surface, checked against the certificate; energy comes as without."""
    pair = f"tls: {{certificate_file: {certificate}, key_file: {certificate.parent / 'key.pem'}}}\n"
    process = serve(models.config() + pair)
    assert process.main.startswith("https://")
    context = ssl.create_default_context(cafile=certificate)
    connection = http.client.HTTPSConnection(process.main.removeprefix("https://"), context=context)
    with closing(connection):
        connection.request("GET", "/v1/models")
        assert json.load(connection.getresponse())["object"] == "list"
        body = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}
        for stream in (False, True):
            asked = {**body, "stream": stream, **({"stream_options": {"include_usage": True}} if stream else {})}
            connection.request("POST", "/v1/chat/completions", json.dumps(asked), {"content-type": "application/json"})
            text = connection.getresponse().read().decode()
            assert '"energy"' in text
            assert text.endswith("data: [DONE]\n\n") == stream
    with pytest.raises((ConnectionError, OSError)):
        get(process.main.replace("https", "http") + "/v1/models")
    assert process.stop() == 0
    assert "Traceback" not in process.errors
