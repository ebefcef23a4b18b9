"""Malformed and hostile requests, as bytes to send to the service over one connection."""

from __future__ import annotations

from collections.abc import Iterator

B = b"edge"
PART = b'--edge\r\nContent-Disposition: form-data; name="image"; filename="p.jpg"\r\n\r\nxx\r\n'
BODY = PART + b"--edge--\r\n"
KIND = b"multipart/form-data; boundary=edge"

STATUSES = frozenset({200, 307, 400, 404, 405, 408, 413, 415, 422, 503})
"""What the service may answer to any of them, if it does not close the connection."""


def head(
    path: bytes = b"/glass_no_glass/",
    *,
    method: bytes = b"POST",
    version: bytes = b"HTTP/1.1",
    kind: bytes = KIND,
    more: bytes = b"",
) -> bytes:
    """A request's head without its length."""
    return b"%b %b %b\r\nHost: x\r\nContent-Type: %b\r\n%b" % (method, path, version, kind, more)


def sized(body: bytes, **options: bytes) -> bytes:
    """A whole request with the right length."""
    return head(**options) + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def chunked(chunks: bytes) -> bytes:
    """A request whose body is said to come in chunks."""
    return head() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks


def requests() -> Iterator[tuple[str, bytes]]:
    """All of them, each with a name."""
    groups = (_lines, _methods, _targets, _heads, _lengths, _chunks, _boundaries, _forms, _more)
    for group in groups:
        for index, (name, content) in enumerate(group()):
            yield f"{group.__name__[1:]} {index}: {name}", content


def _lines() -> Iterator[tuple[str, bytes]]:
    for line in (
        b"",
        b"\r\n" * 50,
        b"GET",
        b"GET /ping/",
        b"GET /ping/ HTTP/1.1",
        b"GET /ping/ HTTP/1.1\r\n",
        b"GET /ping/\r\n\r\n",
        b"GET /ping/ HTTP/0.9\r\n\r\n",
        b"GET /ping/ HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET /ping/ HTTP/1.9\r\nHost: x\r\n\r\n",
        b"GET /ping/ HTTQ/1.1\r\nHost: x\r\n\r\n",
        b"GET  /ping/  HTTP/1.1\r\nHost: x\r\n\r\n",
        b" GET /ping/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /ping/ HTTP/1.1 more\r\nHost: x\r\n\r\n",
        b"GET\t/ping/\tHTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /ping/ HTTP/1.1\nHost: x\n\n",
        b"GET /ping/ HTTP/1.1\rHost: x\r\r",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"\x00" * 3000,
        b"\xff\xfe" * 500,
        b"SSH-2.0-OpenSSH_9.7\r\n",
        "ПОЛУЧИТЬ / HTTP/1.1\r\n\r\n".encode(),
    ):
        yield repr(line[:30]), line


def _methods() -> Iterator[tuple[str, bytes]]:
    names = b"GET HEAD PUT DELETE OPTIONS TRACE PATCH CONNECT BREW post"
    for method in (*names.split(), b"A" * 500):
        yield method.decode()[:9], sized(BODY, method=method)
    for method in (b"G(T", b"GE\x00T", b"G\xc3\x89T", b""):
        yield repr(method), sized(BODY, method=method)


def _targets() -> Iterator[tuple[str, bytes]]:
    for path in (
        b"*",
        b"x",
        b"//",
        b"/../../etc/passwd",
        b"/%2e%2e/%2e%2e/etc/passwd",
        b"/static-offline-docs/../../app.py",
        b"/static-offline-docs/%2e%2e/%2e%2e/app.py",
        b"/%00",
        b"/%ff%fe",
        b"/%zz",
        b"/glass_no_glass",
        b"/glass_no_glass//",
        b"/glass_no_glass/?details=" + b"x" * 5000,
        b"/glass_no_glass/?details=true&details=false",
        b"/glass_no_glass/?%ff=%00",
        b"http://",
        b"http://x",
        b"http:///ping/",
        b"https://x:99999/ping/?x#y",
        b"ftp://x/ping/",
        b"/\xe4",
        b"/" + b"a" * 70_000,
        b"x:443",
    ):
        yield repr(path[:30]), head(path, method=b"GET") + b"\r\n"


def _heads() -> Iterator[tuple[str, bytes]]:
    for name, more in (
        ("no colon", b"Nonsense\r\n"),
        ("no name", b": x\r\n"),
        ("space before the colon", b"X : y\r\n"),
        ("a folded line", b"X: y\r\n z\r\n"),
        ("a NUL", b"X: \x00\r\n"),
        ("Latin-1", b"X: \xe4\xf6\r\n"),
        ("two hosts", b"Host: y\r\n"),
        ("many", b"".join(b"X-%d: y\r\n" % number for number in range(2000))),
        ("very many", b"X: y\r\n" * 20_000),
        ("a long one", b"X: " + b"y" * 100_000 + b"\r\n"),
        ("an upgrade", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
        ("an upgrade to HTTP/2", b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"),
        ("an expectation", b"Expect: 100-continue\r\n"),
        ("an odd expectation", b"Expect: the unexpected\r\n"),
        ("compressed", b"Content-Encoding: gzip\r\n"),
        (
            "a forged address",
            b"X-Forwarded-For: \xff, 1.2.3.4.5\r\nX-Forwarded-Proto: javascript\r\n",
        ),
    ):
        yield name, sized(BODY, more=more)
    yield "no host", b"GET /ping/ HTTP/1.1\r\n\r\n"
    yield "no host, HTTP/1.0", b"GET /ping/ HTTP/1.0\r\n\r\n"


def _lengths() -> Iterator[tuple[str, bytes]]:
    for length in (
        *(b"0", b"1", b"-1", b"+10", b"1e3", b"0x10", b"", b"9" * 30, b"10000000", b"10000001"),
        *(b"99999999999", b"12, 12", b"12 12", "١٢".encode()),
    ):
        yield repr(length), head() + b"Content-Length: %b\r\n\r\n%b" % (length, BODY)
    yield (
        "two that differ",
        head(more=b"Content-Length: 5\r\n") + b"Content-Length: 6\r\n\r\n" + BODY,
    )
    yield "none", head() + b"\r\n" + BODY
    yield "one too many", head() + b"Content-Length: %d\r\n\r\n%b" % (len(BODY) + 1, BODY)
    yield "one too few", head() + b"Content-Length: %d\r\n\r\n%b" % (len(BODY) - 1, BODY)
    both = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    yield "with chunks", head() + both


def _chunks() -> Iterator[tuple[str, bytes]]:
    for chunks in (
        b"0\r\n\r\n",
        b"zz\r\nxx\r\n0\r\n\r\n",
        b"-1\r\nx\r\n0\r\n\r\n",
        b"2\r\nxxxx\r\n0\r\n\r\n",
        b"5\r\nxx\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\nxx",
        b"f" * 100 + b"\r\n",
        b"2;" + b"x" * 100_000,
        b"2;a=b\r\nxx\r\n0\r\n\r\n",
        b"0\r\nTrailer: x\r\n\r\n",
        b"0\r\n" + b"T: x\r\n" * 20_000,
        b"\r\n\r\n\r\n",
        b"2 \r\nxx\r\n0\r\n\r\n",
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
        b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n",
    ):
        yield repr(chunks[:25]), chunked(chunks)
    for coding in (b"gzip", b"chunked, chunked", b"identity", b"x", b"", b"chunked\x00"):
        yield repr(coding), head() + b"Transfer-Encoding: %b\r\n\r\n0\r\n\r\n" % coding


def _boundaries() -> Iterator[tuple[str, bytes]]:
    for kind in (
        *(b"", b"x", b"image/jpeg", b"multipart/form-data", b"multipart/mixed; boundary=edge"),
        *(b"multipart/form-data; boundary=", b'multipart/form-data; boundary=""'),
        *(b"multipart/form-data; boundary=other", b'multipart/form-data; boundary="edge'),
        *(b"multipart/form-data; boundary=\xe4", b"multipart/form-data; boundary=" + b"e" * 9000),
        *(b"multipart/form-data; boundary=edge; boundary=other", b"multipart/form-data;;;;=;"),
        *(KIND + b"; charset=utf-16", KIND + b"; charset=none", KIND + b"; charset=\x80"),
        b"application/x-www-form-urlencoded",
    ):
        yield repr(kind[:60]), sized(BODY, kind=kind)


def _forms() -> Iterator[tuple[str, bytes]]:
    line = b'Content-Disposition: form-data; name="image"; filename="p.jpg"'
    for name, body in (
        ("nothing", b""),
        ("the end alone", b"--edge--\r\n"),
        ("the beginning alone", b"--edge\r\n"),
        ("no end", PART),
        ("half an end", PART + b"--edge"),
        ("what follows the end", BODY + b"more" * 1000),
        ("lines of LF", BODY.replace(b"\r\n", b"\n")),
        ("lines of CR", BODY.replace(b"\r\n", b"\r")),
        ("no headers", b"--edge\r\n\r\nxx\r\n--edge--\r\n"),
        ("a header that does not end", b"--edge\r\n" + line),
        ("a long header", b"--edge\r\nX: " + b"y" * 100_000 + b"\r\n\r\n\r\n--edge--"),
        ("many headers", b"--edge\r\n" + b"X: y\r\n" * 5000 + b"\r\n\r\n--edge--"),
        ("no disposition", BODY.replace(line, b"X: y")),
        ("an odd disposition", BODY.replace(b"form-data", b"attachment")),
        ("no name", BODY.replace(b'name="image"; ', b"")),
        ("a name without an end", BODY.replace(b'"image"', b'"image')),
        ("another name", BODY.replace(b"image", b"imaje")),
        ("no file", BODY.replace(b'; filename="p.jpg"', b"")),
        ("a name of no charset", BODY.replace(b"p.jpg", b"\xff\xfe\x80")),
        ("a name with a NUL", BODY.replace(b"p.jpg", b"\0")),
        ("an extended name", BODY.replace(b'name="p.jpg"', b"name*=utf-9''%ff")),
        ("two files", PART + BODY),
        ("a hundred files", PART * 100 + BODY),
        ("a hundred fields", PART.replace(b'; filename="p.jpg"', b"") * 100 + BODY),
        (
            "another encoding",
            BODY.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
        ),
        ("a preamble", b"hello\r\n" + BODY),
        ("noise", bytes(range(256)) * 40),
    ):
        yield name, sized(body)


def _more() -> Iterator[tuple[str, bytes]]:
    ping = b"GET /ping/ HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "two hundred at once", ping * 200
    yield "one and half another", ping + ping[:20]
    yield "one and nonsense", ping + b"\x00\x01\x02\r\n\r\n"
    yield "a form and nonsense", sized(BODY) + b"\x00\x01\x02\r\n\r\n"
    yield "one hidden in another", head() + b"Content-Length: 0\r\n\r\n" + ping
    yield "a body of GET", b"GET /ping/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n" + ping
    yield "11 MB", sized(PART + bytes(11_000_000))
