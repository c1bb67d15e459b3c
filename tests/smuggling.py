"""Requests that two parsers may read differently, that ask too much, or that are no requests: raw bytes, each with a name."""

import json

CHAT = "/v1/chat/completions"


def asking(text, **fields):
    """The body of a chat that asks this."""
    return json.dumps({"model": "auto", "messages": [{"role": "user", "content": text}], **fields}).encode()


def post(text="hello", headers=b"", path=CHAT):
    """A proper request."""
    body = asking(text)
    head = b"POST %b HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"
    return head % (path.encode(), headers, len(body)) + body


HIDDEN = post("SMUGGLED")
"""What must reach no model server from within another request."""
BODY = asking("outer")
LENGTH = b"content-length: %d\r\n" % len(BODY)
CHUNKED_BODY = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


def raw(headers, body=BODY + HIDDEN, start=b"POST /v1/chat/completions HTTP/1.1"):
    """A request with these headers as they are."""
    return start + b"\r\nhost: test\r\ncontent-type: application/json\r\n" + headers + b"\r\n" + body


def lengths(*values):
    """Requests that state their length so."""
    return {f"length {value.decode()!r}": raw(b"content-length:" + value + b"\r\n") for value in values}


def codings(*values):
    """Requests that state their coding so."""
    return {f"coding {value.decode()!r}": raw(b"transfer-encoding:" + value + b"\r\n", CHUNKED_BODY + HIDDEN) for value in values}


def chunks(**bodies):
    """Requests whose chunks are these."""
    return {f"chunks: {name}": raw(b"transfer-encoding: chunked\r\n", body + HIDDEN) for name, body in bodies.items()}


REFUSED = {
    "length and coding": raw(LENGTH + b"transfer-encoding: chunked\r\n", b"0\r\n\r\n" + HIDDEN),
    "coding and length": raw(b"transfer-encoding: chunked\r\n" + LENGTH, b"0\r\n\r\n" + HIDDEN),
    "two lengths": raw(LENGTH + b"content-length: 0\r\n"),
    "the same length twice": raw(LENGTH + LENGTH),
    **lengths(b" +5", b" -1", b" 0x10", b" 5 5", b" 5,5", b" ", b" 1e1", b" 99999999999999999999999", b" 5\x0b", b" five"),
    **codings(
        b" xchunked", b" chunked, chunked", b" identity", b" chunked, identity", b" \x0bchunked", b" chunked\x00", b" ,chunked;q"
    ),
    "coding twice": raw(b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", CHUNKED_BODY + HIDDEN),
    "a packed body in chunks": raw(b"transfer-encoding: gzip, chunked\r\n", CHUNKED_BODY + HIDDEN),
    "bare line feeds": raw(LENGTH).replace(b"\r\n", b"\n"),
    "one bare line feed": raw(b"x: y\n" + LENGTH),
    "a bare carriage return": raw(b"x: y\rz: a\r\n" + LENGTH),
    "a folded header": raw(b"x: y\r\n z: a\r\n" + LENGTH),
    "a folded coding": raw(b"transfer-encoding:\r\n chunked\r\n", CHUNKED_BODY + HIDDEN),
    "a space before the colon": raw(b"content-length : 5\r\n"),
    "a tab before the colon": raw(b"transfer-encoding\t: chunked\r\n", CHUNKED_BODY + HIDDEN),
    "a header without a colon": raw(b"x\r\n" + LENGTH),
    "a header without a name": raw(b": y\r\n" + LENGTH),
    "a space before the first header": raw(LENGTH).replace(b"\r\nhost", b"\r\n host"),
    "a zero byte in a header": raw(b"x: a\x00b\r\n" + LENGTH),
    "a zero byte in a name": raw(b"x\x00: b\r\n" + LENGTH),
    **chunks(
        hexadecimal=b"0x5\r\nhello\r\n0\r\n\r\n",
        negative=b"-1\r\nhello\r\n0\r\n\r\n",
        letters=b"zz\r\nhello\r\n0\r\n\r\n",
        empty=b"\r\nhello\r\n0\r\n\r\n",
        overflow=b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        wraps_around=b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        bare_line_feeds=CHUNKED_BODY.replace(b"\r\n", b"\n"),
        longer_than_said=b"2\r\nhello\r\n0\r\n\r\n",
        line_feed_in_extension=b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        extension_flood=b"5;" + b"a" * 100_000,
        trailer_flood=b"0\r\n" + b"x: y\r\n" * 20_000,
        one_long_trailer=b"0\r\nx: " + b"y" * 100_000,
        length_in_trailer=b"5\r\nhello\r\n0\r\ncontent-length: 5\r\n\r\n",
        folded_trailer=b"0\r\nx: y\r\n z\r\n\r\n",
    ),
    "a long head": raw(b"x: " + b"y" * 100_000 + b"\r\n" + LENGTH),
    "a long name": raw(b"x" * 100_000 + b": y\r\n" + LENGTH),
    "many headers": raw(b"x: y\r\n" * 10_000 + LENGTH),
    "a long target": raw(LENGTH, start=b"POST /" + b"a" * 100_000 + b" HTTP/1.1"),
    "no host": raw(LENGTH).replace(b"host: test\r\n", b""),
    "two hosts": raw(b"host: evil\r\n" + LENGTH),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "HTTP/2 in the line": raw(LENGTH, start=b"POST /v1/chat/completions HTTP/2.0"),
    "HTTP/0.9": b"POST /v1/chat/completions\r\n" + HIDDEN,
    "no version": raw(LENGTH, start=b"POST /v1/chat/completions HTTP/"),
    "an unknown method": raw(LENGTH, start=b"POSTS /v1/chat/completions HTTP/1.1"),
    "a method in lower case": raw(LENGTH, start=b"post /v1/chat/completions HTTP/1.1"),
    "CONNECT": b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nhost: test\r\n\r\n",
    "a coding in HTTP/1.0": raw(b"transfer-encoding: chunked\r\n", CHUNKED_BODY + HIDDEN, b"POST /v1/chat/completions HTTP/1.0"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500,
    "a packed body": post(headers=b"content-encoding: gzip\r\n"),
}

ANSWERED = {
    "plain": post("outer"),
    "behind empty lines": b"\r\n\r\n" + post("outer"),
    "in chunks": raw(b"transfer-encoding:\tCHUNKED\r\n", CHUNKED_BODY),
    "chunks with an extension": raw(b"transfer-encoding: chunked\r\n", CHUNKED_BODY.replace(b"\r\n", b";a=b\r\n", 1)),
    "chunks with a trailer": raw(b"transfer-encoding: chunked\r\n", CHUNKED_BODY[:-2] + b"x-a: 5\r\nx: y\r\n\r\n"),
    "an announced trailer": raw(b"trailer: x\r\ntransfer-encoding: chunked\r\n", CHUNKED_BODY[:-2] + b"x: y\r\n\r\n"),
    "a space behind the length": raw(LENGTH.replace(b"\r\n", b" \r\n"), BODY),
    "two spaces in the line": raw(LENGTH, BODY, b"POST  /v1/chat/completions HTTP/1.1"),
    "an absolute target": raw(LENGTH, BODY, b"POST http://evil.test/v1/chat/completions HTTP/1.1"),
    "a query": raw(LENGTH, BODY, b"POST /v1/chat/completions?a=b HTTP/1.1"),
    "HTTP/1.0": raw(LENGTH, BODY, b"POST /v1/chat/completions HTTP/1.0"),
    "an upgrade": post("outer", b"connection: upgrade\r\nupgrade: h2c\r\n"),
    "an expectation": post("outer", b"expect: 100-continue\r\n"),
    "bytes beyond ASCII": post("outer", b"x-request-id: caf\xc3\xa9\xff\r\nuser-agent: \xff\xfe\r\n"),
    "the same by the slow path": post(
        "outer", b"expect: 100-continue\r\nx-request-id: caf\xc3\xa9\xff\r\nuser-agent: \xff\xfe\r\n"
    ),
    "the word in a value": post("outer", b"x-a: transfer-encoding: chunked\r\n"),
}
"""Odd, but right: each reaches the model server once, as itself."""
