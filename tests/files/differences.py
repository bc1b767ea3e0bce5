"""The differences between our server and nginx, and why ours is right. Each of these must occur,
and no other may."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One row. `names` are patterns of the requests' names; patterns with `!` exclude requests.

    `what` is `status`, `body` or a field; the names after a comma follow from the first one.
    `status` limits the row to answers that have this status on both servers. `whole` names a file:
    our answer must be 200 with the whole of it.
    """

    names: str
    what: str
    ours: str
    nginx: str
    why: str
    status: int | None = None
    whole: str | None = None


TYPES_WITH_VARY = (
    "page.html page.htm style.css app.js module.mjs data.json app.js.map site.webmanifest code.wasm notes.md table.csv "
    "feed.xml logo.svg icon.ico font.ttf font.otf sound.wav UPPER.TXT blob.unknown noextension two..dots.txt"
)

KNOWN = "nginx's list of types does not have it: RFC 9110 §8.3"

TABLE = [
    # Methods
    Difference(
        "method/* !method/options !method/unknown",
        "Allow",
        "GET, HEAD, OPTIONS",
        "none",
        "A 405 MUST carry Allow: RFC 9110 §15.5.6",
    ),
    Difference(
        "method/options",
        "status",
        "204",
        "405",
        "OPTIONS asks which methods there are, and gets Allow: RFC 9110 §9.3.7",
    ),
    Difference(
        "method/unknown",
        "status",
        "501",
        "405",
        "A method that the server does not know at all SHOULD get 501: RFC 9110 §9.1",
    ),
    # Paths
    Difference(
        "path/slashes",
        "status",
        "404",
        "200",
        "An empty segment is a segment like any other, and names no file: RFC 3986 §3.3",
    ),
    Difference(
        "name/unicode-raw name/quote-raw",
        "status",
        "400",
        "200",
        "Neither is a character of a request-target: RFC 9112 §3.2, RFC 3986 §3.3; an invalid request-line gets 400",
    ),
    Difference(
        "name/colon name/dot-end name/space-end name/backslash name/device name/three-dots name/tab",
        "status",
        "404",
        "200",
        "Names that some system reads as a stream, a device, a separator or another name are refused on all: RFC 9110 §17.3",
    ),
    Difference(
        "name/nul", "status", "404", "400", "The path names no file; which of its bytes is why, is nobody's business"
    ),
    Difference(
        "path/dot-dot path/dot-dot-enc path/slash-enc path/slashes-dir",
        "status",
        "404",
        "200",
        "Segments of two dots are the client's to remove (RFC 3986 §5.2.4), %2F is data and no separator (§2.2), and an empty segment "
        "is a segment (§3.3): one file, one path",
    ),
    Difference("path/above path/above-enc", "status", "404", "400", "As any other path with segments of two dots"),
    Difference(
        "path/hidden path/hidden-dir path/hidden-below",
        "status",
        "404",
        "200",
        "Hidden files (.git, .env) are not meant to be published; /.well-known is (RFC 8615): RFC 9110 §17.3",
    ),
    Difference(
        "link/out link/out-dir",
        "status",
        "404",
        "200",
        "What is served lies below the root: a link that leaves it leads nowhere: RFC 9110 §17.3",
    ),
    Difference(
        "link/out-no-slash",
        "status",
        "404",
        "301",
        "A redirect would tell that there is a directory outside: RFC 9110 §17.3",
    ),
    Difference(
        "dir/root",
        "body, Content-Length",
        "nothing more",
        "/files/back%5Cslash.txt /files/colon%3Ax.txt /files/con.txt /files/dot. /files/link-nowhere /files/link-out.txt "
        "/files/link-out/ /files/space%20 /files/tab%09.txt",
        "A listing shows what can be had, and nothing else",
    ),
    Difference(
        "dir/listing dir/empty", "Content-Length", "known", "none", "Ours is made before it is sent, nginx's is chunked"
    ),
    # Conditions
    Difference(
        "*",
        "Last-Modified",
        "none",
        "Thu, 04 Mar 2021 05:06:07 GMT",
        "A 304 that has an ETag SHOULD NOT repeat other metadata: RFC 9110 §15.4.5",
        status=304,
    ),
    Difference(
        "inm/lines",
        "status",
        "304",
        "400",
        "A list may stand on several lines: RFC 9110 §5.3",
    ),
    Difference(
        "im/lines",
        "status",
        "200",
        "400",
        "A list may stand on several lines: RFC 9110 §5.3",
        whole="kib.txt",
    ),
    Difference(
        "ims/lines",
        "status",
        "200",
        "400",
        "With more than one member the field MUST be ignored: RFC 9110 §13.1.3",
        whole="kib.txt",
    ),
    Difference(
        "ims/future",
        "status",
        "200",
        "304",
        "A date that our clock has not reached says nothing of a copy (RFC 2616 §14.25 called it invalid); RFC 9110 §13.1.3 "
        "only SHOULDs a 304, and the whole is never wrong",
        whole="kib.txt",
    ),
    Difference(
        "ius/invalid",
        "status",
        "200",
        "412",
        "What is no HTTP-date MUST be ignored: RFC 9110 §13.1.4",
        whole="kib.txt",
    ),
    Difference(
        "order/im-yes-ius-no",
        "status",
        "200",
        "412",
        "If-Unmodified-Since MUST be ignored beside If-Match: RFC 9110 §13.1.4, §13.2.2",
        whole="kib.txt",
    ),
    Difference(
        "order/inm-yes-ims-no",
        "status",
        "304",
        "200",
        "If-Modified-Since MUST be ignored beside If-None-Match: RFC 9110 §13.1.3, §13.2.2",
    ),
    # Ranges
    Difference(
        "range/* multi/* if-range/* order/im-range order/inm-no-range",
        "Accept-Ranges",
        "bytes",
        "none",
        "A 206 is a representation that takes ranges as much as the 200 is: RFC 9110 §14.3",
        status=206,
    ),
    Difference(
        "range/head multi/head",
        "status",
        "200",
        "206",
        "Range MUST be ignored with any method but GET: RFC 9110 §14.2",
        whole="kib.txt",
    ),
    Difference(
        "range/head-416",
        "status",
        "200",
        "416",
        "Range MUST be ignored with any method but GET: RFC 9110 §14.2",
        whole="kib.txt",
    ),
    Difference(
        "range/zero-open",
        "status",
        "416",
        "200",
        "first-pos 0 is not less than the length 0, so nothing is satisfiable: RFC 9110 §14.1.2, §15.5.17",
    ),
    Difference(
        "range/big-number range/big-suffix",
        "status",
        "206",
        "416",
        "A last-pos or suffix beyond the end means the end, whatever its digits: RFC 9110 §14.1.2",
    ),
    Difference(
        "bad/reversed bad/letters bad/dash bad/negative bad/hex bad/second",
        "status",
        "200",
        "416",
        "An invalid Range MAY be ignored or rejected (RFC 9110 §14.1.1, §14.2); 416 would claim that it lies beyond the "
        "end, and have a client think that it has all",
        whole="kib.txt",
    ),
    Difference(
        "bad/inner-space bad/second-reverse",
        "status",
        "200",
        "206",
        "One invalid range-spec makes the whole Range invalid: RFC 9110 §14.1.1; that is then ignored: §14.2",
        whole="kib.txt",
    ),
    Difference(
        "bad/lines",
        "status",
        "200",
        "206",
        "Range is no list, so a sender MUST NOT send two lines, and which of them counts is a guess: RFC 9110 §5.3",
        whole="kib.txt",
    ),
    Difference(
        "multi/empty",
        "status",
        "206",
        "416",
        "Empty list elements MUST be ignored: RFC 9110 §5.6.1.2",
    ),
    Difference(
        "multi/65 multi/overlap-3",
        "status",
        "200",
        "206",
        "Many small ranges, and more than two that overlap, MAY be ignored against abuse: RFC 9110 §14.2, §17.15",
        whole="kib.txt",
    ),
    # Codings
    Difference(
        "get/missing get/missing-in-dir get/missing-dir head/missing method/post method/put method/delete "
        "method/patch method/trace dir/file-slash dir/file-below name/tilde name/case name/invalid-utf8 "
        "link/nowhere inm/star-missing inm/missing im/star-missing ims/missing range/missing",
        "Vary",
        "Accept",
        "none",
        "Our own text for an error is problem+json for a client that prefers JSON: RFC 9457 §3, RFC 9110 §12.5.1",
    ),
    Difference(
        "im/weak im/other im/head-other im/list-none im/unquoted ius/before ius/head-before ius/rfc850-before "
        "ius/asctime-before order/im-no-ius-yes order/im-no-inm-yes order/im-no-ims-yes order/ius-no-inm-yes "
        "order/ius-no-ims-yes order/im-no-range order/ius-no-range order/im-no-416 range/suffix-0 "
        "range/at-end range/beyond range/big-first multi/none if-range/416",
        "Vary",
        "Accept, Accept-Encoding",
        "none",
        "Our own text for an error is problem+json for a client that prefers JSON: RFC 9457 §3, RFC 9110 §12.5.1",
    ),
    Difference(
        "get/* head/* dir/index* dir/space-index name/* path/* link/* inm/* im/* ims/* ius/* order/* range/* bad/* "
        "multi/* !multi/type if-range/* coding/no-sidecar "
        + " ".join(f"type/{name}" for name in TYPES_WITH_VARY.split()),
        "Vary",
        "Accept-Encoding",
        "none",
        "A sidecar may come tomorrow, and a cache must not take today's answer for all codings: RFC 9110 §12.5.5",
    ),
    Difference(
        "coding/gzip coding/case coding/list coding/browser coding/identity-0 coding/head coding/1.0 coding/gzip-first "
        "coding/multi",
        "Accept-Ranges",
        "bytes",
        "none",
        "Ranges count the coded bytes, as of any representation: RFC 9110 §14.1.2",
    ),
    Difference(
        "coding/range coding/suffix coding/if-range",
        "status",
        "206",
        "200",
        "Ranges count the coded bytes, as of any representation: RFC 9110 §14.1.2",
    ),
    Difference("coding/416", "status", "416", "200", "The coded bytes end before that: RFC 9110 §14.1.2, §15.5.17"),
    Difference(
        "coding/br-both",
        "Content-Encoding, Content-Length, body, Accept-Ranges",
        "br",
        "gzip",
        "nginx looks for .gz alone; of those that are equally welcome we send br, then zstd, then gzip: RFC 9110 §12.5.3",
    ),
    Difference(
        "coding/br coding/br-only",
        "Content-Encoding, Content-Length, body, Vary",
        "br",
        "none",
        "nginx looks for .gz alone",
    ),
    Difference("coding/zstd", "Content-Encoding, body, Accept-Ranges", "zstd", "gzip", "nginx looks for .gz alone"),
    Difference(
        "coding/x-gzip",
        "Content-Encoding, Content-Length, body",
        "gzip",
        "none",
        "x-gzip SHOULD be taken for gzip: RFC 9110 §8.4.1.3",
    ),
    Difference(
        "coding/star",
        "Content-Encoding, Content-Length, body",
        "gzip",
        "none",
        "`*` stands for every coding that is not named: RFC 9110 §12.5.3",
    ),
    Difference(
        "coding/lines",
        "Content-Encoding, Content-Length, body",
        "gzip",
        "none",
        "A list may stand on several lines: RFC 9110 §5.3",
    ),
    Difference(
        "coding/identity-1",
        "Content-Encoding, Content-Length, body, Accept-Ranges",
        "none",
        "gzip",
        "identity has the higher weight: RFC 9110 §12.4.2, §12.5.3",
        whole="side.txt",
    ),
    Difference(
        "coding/star-q0 coding/no-other",
        "status",
        "406",
        "200",
        "The client refuses the only form that there is: RFC 9110 §12.5.3, §15.5.7",
    ),
    Difference(
        "coding/png",
        "Content-Encoding, Content-Length, body, Vary, Accept-Ranges",
        "none",
        "gzip",
        "A picture is compressed already: no sidecar is looked for, so nothing varies",
        whole="packed.png",
    ),
    Difference(
        "coding/stale",
        "Content-Encoding, Content-Length, body, Accept-Ranges, Last-Modified",
        "none",
        "gzip",
        "A sidecar that is older than its file is a coding of something else: RFC 9110 §8.4",
        whole="stale.txt",
    ),
    # Types
    Difference(
        "type/app.js",
        "Content-Type",
        "text/javascript",
        "application/javascript",
        "The latter is obsolete: RFC 9239 §6",
    ),
    Difference(
        "type/module.mjs",
        "Content-Type",
        "text/javascript",
        "application/octet-stream",
        "A script of octet-stream does not run with nosniff: RFC 9239 §6",
    ),
    Difference("type/app.js.map", "Content-Type", "application/json", "application/octet-stream", KNOWN),
    Difference("type/site.webmanifest", "Content-Type", "application/manifest+json", "application/octet-stream", KNOWN),
    Difference("type/notes.md", "Content-Type", "text/markdown", "application/octet-stream", KNOWN),
    Difference("type/table.csv", "Content-Type", "text/csv", "application/octet-stream", KNOWN),
    Difference("type/font.ttf", "Content-Type", "font/ttf", "application/octet-stream", KNOWN),
    Difference("type/font.otf", "Content-Type", "font/otf", "application/octet-stream", KNOWN),
    Difference("type/sound.wav", "Content-Type", "audio/wav", "application/octet-stream", KNOWN),
    Difference(
        "coding/sidecar coding/sidecar-ae",
        "Content-Type",
        "application/gzip",
        "application/octet-stream",
        "Asked for by its own name, a .gz is a file of its own type: RFC 6713",
    ),
]


def rendered():
    """The table in Markdown, as README.md has it."""
    lines = ["| requests | what | ours | nginx's | why ours |", "|---|---|---|---|---|"]
    for row in TABLE:
        names = " ".join(f"`{name}`" for name in row.names.split())
        of = f" of {row.status}" if row.status else ""
        lines.append(f"| {names} | {row.what}{of} | {row.ours} | {row.nginx} | {row.why} |")
    return "\n".join(lines) + "\n"
