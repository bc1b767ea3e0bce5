"""What a response says about its content: media type, and the parts of several ranges."""


def essence(content_type):
    """The media type without its parameters."""
    return content_type.split(";")[0].strip().lower() if content_type is not None else None


def parts(answer):
    """The parts of a multipart/byteranges body: media type, Content-Range, bytes (RFC 9110 §14.6,
    RFC 2046 §5.1.1)."""
    kind, _, boundary = answer.first("content-type").partition("boundary=")
    if essence(kind) != "multipart/byteranges" or not boundary:
        raise ValueError(f"content-type {answer.first('content-type')!r}")
    delimiter = b"\r\n--" + boundary.strip('"').encode()
    # The first delimiter has its CRLF too; without it zsync reads none.
    preamble, *pieces, epilogue = answer.body.split(delimiter)
    if preamble or epilogue not in (b"--", b"--\r\n"):
        raise ValueError(f"multipart between {preamble[:40]!r} and {epilogue[:40]!r}")
    found = []
    for piece in pieces:
        if not piece.startswith(b"\r\n"):
            raise ValueError(f"after a delimiter: {piece[:40]!r}")
        head, gap, body = piece[2:].partition(b"\r\n\r\n")
        if not gap:
            raise ValueError(f"no end of a part's head: {head[:80]!r}")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        fields = {name.lower(): value for name, value in fields.items()}
        found.append((essence(fields.get("content-type")), fields.get("content-range"), body))
    return found
