"""The mutations of a request's structure, by name (RFC 9110, RFC 9112, RFC 3986)."""

METHODS = {
    "lower case": b"get",
    "unknown": b"FOOBAR",
    "PUT": b"PUT",
    "DELETE": b"DELETE",
    "PATCH": b"PATCH",
    "OPTIONS": b"OPTIONS",
    "QUERY": b"QUERY",
    "PROPFIND": b"PROPFIND",
    "TRACE": b"TRACE",
    "odd token": b"!#$%&'*+-.^_`|~",
    "empty": b"",
    "with a colon": b"GE:T",
    "with a slash": b"GE/T",
    "40 bytes": b"M" * 40,
    "300 bytes": b"M" * 300,
    "high byte": b"G\xe9T",
}

VERSIONS = {
    "0.9": b"HTTP/0.9",
    "1.0": b"HTTP/1.0",
    "1.2": b"HTTP/1.2",
    "1.9": b"HTTP/1.9",
    "1.10": b"HTTP/1.10",
    "01.1": b"HTTP/01.1",
    "1": b"HTTP/1",
    "1.": b"HTTP/1.",
    "2.0": b"HTTP/2.0",
    "9.9": b"HTTP/9.9",
    "lower case": b"http/1.1",
    "HTTP only": b"HTTP",
    "none": b"",
    "space in it": b"HTTP/ 1.1",
    "space behind": b"HTTP/1.1 ",
    "tab behind": b"HTTP/1.1\t",
    "other name": b"HTCPCP/1.1",
    "comma": b"HTTP/1,1",
    "sign": b"HTTP/+1.1",
}

TARGETS = {
    "root": b"/",
    "no slash": b"foo",
    "dots up": b"/a/../b",
    "dots above the root": b"/../b",
    "single dot": b"/./a",
    "encoded dots": b"/a/%2e%2e/b",
    "two slashes": b"//a//b",
    "slashes and a host": b"//evil/a",
    "encoded slash": b"/a%2Fb",
    "encoded slash, lower case": b"/a%2fb",
    "encoded backslash": b"/a%5Cb",
    "encoded NUL": b"/a%00b",
    "encoded CRLF": b"/a%0d%0ab",
    "encoded letter": b"/%61",
    "encoded percent": b"/%2561",
    "encoded space": b"/a%20b",
    "encoded UTF-8": b"/%C3%A9",
    "encoded bad UTF-8": b"/%FF%FE",
    "overlong UTF-8": b"/%C0%AE",
    "percent, no digits": b"/a%zz",
    "percent at the end": b"/a%",
    "percent, one digit": b"/a%1",
    "percent u": b"/a%u0041",
    "percent in the query": b"/a?b=100%",
    "plus": b"/a+b?c=d+e",
    "space": b"/a b",
    "two words": b"/a HTTP/1.1 b",
    "tab": b"/a\tb",
    "high byte": b"/\xe9",
    "UTF-8": "/é".encode(),
    "NUL": b"/a\0b",
    "DEL": b"/a\x7fb",
    "fragment": b"/a#b",
    "fragment first": b"#b",
    "quote": b'/a"b',
    "angles": b"/<a>",
    "backslash": b"/a\\b",
    "backslash in the query": b"/a?b\\c",
    "pipe": b"/a|b",
    "braces": b"/{a}",
    "caret": b"/a^b",
    "brackets": b"/a[b]",
    "backtick": b"/a`b",
    "tilde": b"/~a",
    "semicolon": b"/a;b=c",
    "sub-delims": b"/!$&'()*+,;=:@",
    "empty query": b"/a?",
    "two questions": b"/a?b?c",
    "query only": b"?b",
    "star": b"*",
    "empty": b"",
    "absolute": b"http://a/b?c",
    "absolute, another host": b"http://other/b",
    "absolute, no path": b"http://a",
    "absolute, query only": b"http://a?b",
    "absolute, port": b"http://a:80/b",
    "absolute, bad port": b"http://a:x/b",
    "absolute, large port": b"http://a:70000/b",
    "absolute, userinfo": b"http://u:p@a/b",
    "absolute, empty host": b"http:///b",
    "absolute, IPv6": b"http://[::1]/b",
    "absolute, https": b"https://a/b",
    "absolute, ftp": b"ftp://a/b",
    "absolute, upper case": b"HTTP://A/b",
    "absolute, one slash": b"http:/a",
    "authority": b"a:80",
    "7000 bytes": b"/" + b"a" * 7000,
    "9000 bytes": b"/" + b"a" * 9000,
    "70000 bytes": b"/" + b"a" * 70000,
}


def other_line(name, colon, value, end=b"\r\n", first=False):
    def apply(request):
        request.lines.insert(0 if first else len(request.lines), [name, colon, value, end])

    return apply


FIELD_LINES = {
    "space before the colon": other_line(b"X-B", b" : ", b"v"),
    "tab before the colon": other_line(b"X-B", b"\t: ", b"v"),
    "space before Content-Length's colon": other_line(b"Content-Length", b" : ", b"5"),
    "space before Transfer-Encoding's colon": other_line(b"Transfer-Encoding", b" : ", b"chunked"),
    "no space behind the colon": other_line(b"X-B", b":", b"v"),
    "no colon": other_line(b"X-B", b"", b""),
    "empty name": other_line(b"", b": ", b"v"),
    "space before the first name": other_line(b" X-B", b": ", b"v", first=True),
    "space before the last name": other_line(b" X-B", b": ", b"v"),
    "space before Host": other_line(b" Host", b": ", b"b", first=True),
    "space in the name": other_line(b"X B", b": ", b"v"),
    "parenthesis in the name": other_line(b"X(B", b": ", b"v"),
    "high byte in the name": other_line(b"X\xe9B", b": ", b"v"),
    "NUL in the name": other_line(b"X\0B", b": ", b"v"),
    "slash in the name": other_line(b"X/B", b": ", b"v"),
    "odd token as a name": other_line(b"!#$%&'*+-.^_`|~", b": ", b"v"),
    "underscore in the name": other_line(b"X_B", b": ", b"v"),
    "Content_Length": other_line(b"Content_Length", b": ", b"9"),
    "Transfer_Encoding": other_line(b"Transfer_Encoding", b": ", b"chunked"),
    "upper case": other_line(b"X-BB", b": ", b"v"),
    "long name": other_line(b"X" * 5000, b": ", b"v"),
    "bare LF": other_line(b"X-B", b": ", b"v", end=b"\n"),
    "bare CR": other_line(b"X-B", b": ", b"v", end=b"\r"),
    "CR CR LF": other_line(b"X-B", b": ", b"v", end=b"\r\r\n"),
    "LF CR": other_line(b"X-B", b": ", b"v", end=b"\n\r"),
    "bare LF, then Content-Length": other_line(b"X-B", b": ", b"v\nContent-Length: 3"),
    "bare CR, then Content-Length": other_line(b"X-B", b": ", b"v\rContent-Length: 3"),
    "Content-Length 5": other_line(b"Content-Length", b": ", b"5"),
    "Content-Length 5, first": other_line(b"Content-Length", b": ", b"5", first=True),
    "Content-Length 0": other_line(b"Content-Length", b": ", b"0"),
    "Transfer-Encoding: chunked": other_line(b"Transfer-Encoding", b": ", b"chunked"),
    "Transfer-Encoding: chunked, first": other_line(
        b"Transfer-Encoding", b": ", b"chunked", first=True
    ),
}


def each_end(end):
    def apply(request):
        request.first_end = request.empty_line = end
        request.lines = [[name, colon, value, end] for name, colon, value, _ in request.lines]

    return apply


def setting(**values):
    def apply(request):
        for name, value in values.items():
            setattr(request, name, value)

    return apply


LINES = {
    "CRLF before": setting(before=b"\r\n"),
    "two CRLF before": setting(before=b"\r\n\r\n"),
    "three CRLF before": setting(before=b"\r\n\r\n\r\n"),
    "twenty CRLF before": setting(before=b"\r\n" * 20),
    "LF before": setting(before=b"\n"),
    "CR before": setting(before=b"\r"),
    "space before": setting(before=b" "),
    "NUL before": setting(before=b"\0"),
    "BOM before": setting(before=b"\xef\xbb\xbf"),
    "space and CRLF before": setting(before=b" \r\n"),
    "request line: LF": setting(first_end=b"\n"),
    "request line: CR": setting(first_end=b"\r"),
    "request line: CR CR LF": setting(first_end=b"\r\r\n"),
    "empty line: LF": setting(empty_line=b"\n"),
    "empty line: CR": setting(empty_line=b"\r"),
    "empty line: CR CR LF": setting(empty_line=b"\r\r\n"),
    "empty line: space": setting(empty_line=b" \r\n"),
    "all lines: LF": each_end(b"\n"),
    "all lines: CR": each_end(b"\r"),
    "two spaces": setting(between=[b"  ", b" "]),
    "two spaces before the version": setting(between=[b" ", b"  "]),
    "tabs between": setting(between=[b"\t", b"\t"]),
    "VT between": setting(between=[b"\x0b", b" "]),
    "no fields": setting(lines=[]),
}


def replacing(label, data, nth=0):
    """Gives a piece of a chunked body other bytes; does nothing to another body."""

    def apply(request):
        places = [at for at, piece in enumerate(request.body) if piece[0] == label]
        if places:
            request.body[places[nth]] = (label, data)

    return apply


BODIES = {
    "size: space behind": replacing("chunk size", b"5 "),
    "size: tab behind": replacing("chunk size", b"5\t"),
    "size: space before": replacing("chunk size", b" 5"),
    "size: plus": replacing("chunk size", b"+5"),
    "size: minus": replacing("chunk size", b"-5"),
    "size: 0x": replacing("chunk size", b"0x5"),
    "size: underscore": replacing("chunk size", b"0_5"),
    "size: leading zero": replacing("chunk size", b"05"),
    "size: 15 zeros": replacing("chunk size", b"0" * 15 + b"5"),
    "size: 20 zeros": replacing("chunk size", b"0" * 20 + b"5"),
    "size: 300 zeros": replacing("chunk size", b"0" * 300 + b"5"),
    "size: over u32": replacing("chunk size", b"100000005"),
    "size: over u64": replacing("chunk size", b"10000000000000005"),
    "size: u64's last": replacing("chunk size", b"ffffffffffffffff"),
    "size: empty": replacing("chunk size", b""),
    "size: letter g": replacing("chunk size", b"g"),
    "size: letter behind": replacing("chunk size", b"5g"),
    "size: short": replacing("chunk size", b"4"),
    "size: long": replacing("chunk size", b"6"),
    "size: two long": replacing("chunk size", b"7"),
    "size: upper case": replacing("chunk size", b"A", 1),
    "size: comma": replacing("chunk size", b"5,5"),
    "size: NUL behind": replacing("chunk size", b"5\0"),
    "size: other digits": replacing("chunk size", "٥".encode()),
    "extension: a": replacing("chunk extension", b";a"),
    "extension: a=b": replacing("chunk extension", b";a=b"),
    "extension: quoted": replacing("chunk extension", b';a="b;c"'),
    "extension: quoted pair": replacing("chunk extension", b';a="b\\"c"'),
    "extension: open quote": replacing("chunk extension", b';a="b'),
    "extension: empty": replacing("chunk extension", b";"),
    "extension: two": replacing("chunk extension", b";a;b=c"),
    "extension: spaces": replacing("chunk extension", b" ; a = b"),
    "extension: empty value": replacing("chunk extension", b";a="),
    "extension: no token": replacing("chunk extension", b";[]"),
    "extension: bare LF": replacing("chunk extension", b";a\nb"),
    "extension: bare CR": replacing("chunk extension", b";a\rb"),
    "extension: NUL": replacing("chunk extension", b";a\0b"),
    "extension: high byte": replacing("chunk extension", b";a=\xe9"),
    "extension: 300 bytes": replacing("chunk extension", b";" + b"a" * 300),
    "extension: 20000 bytes": replacing("chunk extension", b";" + b"a" * 20000),
    "size line: LF": replacing("chunk line's end", b"\n"),
    "size line: CR": replacing("chunk line's end", b"\r"),
    "size line: CR CR LF": replacing("chunk line's end", b"\r\r\n"),
    "data's end: LF": replacing("chunk data's end", b"\n"),
    "data's end: CR": replacing("chunk data's end", b"\r"),
    "data's end: none": replacing("chunk data's end", b""),
    "data's end: two letters": replacing("chunk data's end", b"xx"),
    "data's end: CRLF twice": replacing("chunk data's end", b"\r\n\r\n"),
    "last chunk: 000": replacing("last chunk", b"000"),
    "last chunk: 0x0": replacing("last chunk", b"0x0"),
    "last chunk: none": replacing("last chunk", b""),
    "last chunk: extension": replacing("last chunk's extension", b";a=b"),
    "last chunk: LF": replacing("last chunk's line end", b"\n"),
    "trailer": replacing("trailers", b"X-T: v\r\n"),
    "trailer: Content-Length": replacing("trailers", b"Content-Length: 3\r\n"),
    "trailer: Transfer-Encoding": replacing("trailers", b"Transfer-Encoding: chunked\r\n"),
    "trailer: Host": replacing("trailers", b"Host: b\r\n"),
    "trailer: Authorization": replacing("trailers", b"Authorization: x\r\n"),
    "trailer: X-A": replacing("trailers", b"X-A: other\r\n"),
    "trailer: bare LF": replacing("trailers", b"X-T: v\n"),
    "trailer: no colon": replacing("trailers", b"X-T\r\n"),
    "trailer: folded": replacing("trailers", b"X-T: v\r\n w\r\n"),
    "trailer: space before the colon": replacing("trailers", b"X-T : v\r\n"),
    "trailer: NUL": replacing("trailers", b"X-T: a\0b\r\n"),
    "trailer: 40 lines": replacing("trailers", b"X-T: v\r\n" * 40),
    "trailers' end: LF": replacing("trailers' end", b"\n"),
    "trailers' end: none": replacing("trailers' end", b""),
}


def large_body(request):
    request.body = [("body", b"x" * 10000)]
    request.lines = [
        line for line in request.lines if line[0] not in (b"Content-Length", b"Transfer-Encoding")
    ]
    request.lines.append([b"Content-Length", b": ", b"10000", b"\r\n"])


def no_body(request):
    request.body = []


def body_of_get(request):
    request.method = b"GET"


PLAIN = {
    "large body": large_body,
    "body left out": no_body,
    "GET with its body": body_of_get,
}
