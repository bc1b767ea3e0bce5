"""Where we and nginx differ, and why ours is right. Nothing else may differ, and each of these must."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One row. `names` are patterns of the requests' names; those with `!` are left out.

    `what` is `status`, `body` or a field; what stands behind it after a comma follows from it. `status` narrows the row to
    answers that both have this status. `whole` names a file that ours must be the whole of, with 200.
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
    "feed.xml logo.svg UPPER.TXT blob.unknown noextension two..dots.txt"
)

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
        "method/options", "status", "204", "405", "OPTIONS asks which methods there are, and gets Allow: RFC 9110 §9.3.7"
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
        "An invalid ranges-specifier MUST be ignored (RFC 9110 §14.1.1); 416 is for valid ones that do not overlap (§15.5.17)",
        whole="kib.txt",
    ),
    Difference(
        "bad/inner-space bad/second-reverse",
        "status",
        "200",
        "206",
        "An invalid ranges-specifier is ignored as a whole: RFC 9110 §14.1.1",
        whole="kib.txt",
    ),
    Difference(
        "bad/lines",
        "status",
        "200",
        "206",
        "Range is no list, so two lines are an invalid field: RFC 9110 §5.3, §14.2",
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
        "multi/17 multi/overlap-3",
        "status",
        "200",
        "206",
        "Many small ranges, and more than two that overlap, MAY be ignored against abuse: RFC 9110 §14.2, §17.15",
        whole="kib.txt",
    ),
    # Codings
    Difference(
        "get/* head/* dir/index* dir/space-index name/* path/* link/* inm/* im/* ims/* ius/* order/* range/* bad/* "
        "multi/* !multi/type if-range/* coding/no-sidecar coding/br-only "
        + " ".join(f"type/{name}" for name in TYPES_WITH_VARY.split()),
        "Vary",
        "Accept-Encoding",
        "none",
        "A sidecar may come tomorrow: a cache must not take today's answer for all codings: RFC 9110 §12.5.5, RFC 9111 §4.1",
    ),
    Difference(
        "coding/br-both coding/br-only",
        "Content-Encoding, Content-Length, body, Vary, Accept-Ranges",
        "br",
        "gzip",
        "nginx looks for .gz alone; of those equally welcome br is the smallest: RFC 9110 §12.5.3",
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
        "Content-Encoding, Content-Length, body, Accept-Ranges",
        "none",
        "gzip",
        "A sidecar that is older than its file is a coding of something else: RFC 9110 §8.8.3.3",
        whole="stale.txt",
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
