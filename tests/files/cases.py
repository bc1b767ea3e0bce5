"""The requests that both servers are asked, one a line.

    name | method target | field line | field line ...

A target is below /files, unless it begins with `=`. `{etag}` and `{last_modified}` are what the
same server said in its first answer to a plain request for this target, under the same
Accept-Encoding; `{opaque}` is the tag without W/. A method with `/1.0` is a request of that
version.
"""

from dataclasses import dataclass

# The mtime of every file, in each of the three forms of RFC 9110 §5.6.7, and times around it.
DATES = {
    "same": "Thu, 04 Mar 2021 05:06:07 GMT",
    "same850": "Thursday, 04-Mar-21 05:06:07 GMT",
    "sameasc": "Thu Mar  4 05:06:07 2021",
    "before": "Thu, 04 Mar 2021 05:06:06 GMT",
    "before850": "Thursday, 04-Mar-21 05:06:06 GMT",
    "beforeasc": "Thu Mar  4 05:06:06 2021",
    "after": "Thu, 04 Mar 2021 05:06:08 GMT",
    "future": "Thu, 04 Mar 2100 05:06:07 GMT",
}

TABLE = """
get/zero           | GET /zero.txt
get/one            | GET /one.bin
get/kib            | GET /kib.txt
get/hundred        | GET /hundred.bin
get/mib            | GET /mib.bin
get/query          | GET /kib.txt?a=1&b=%2e%2e
get/query-raw      | GET /kib.txt?path=C:\\temp&d=100%
get/1.0            | GET/1.0 /kib.txt
get/absolute-form  | GET =http://localhost/files/kib.txt
get/no-host        | GET/1.1-no-host /kib.txt
get/missing        | GET /missing.txt
get/missing-in-dir | GET /plain/missing.txt
get/missing-dir    | GET /missing/
head/zero          | HEAD /zero.txt
head/kib           | HEAD /kib.txt
head/mib           | HEAD /mib.bin
head/missing       | HEAD /missing.txt
head/index         | HEAD /index/
head/redirect      | HEAD /index

method/post        | POST /kib.txt | Content-Length: 0
method/put         | PUT /new.txt | Content-Length: 0
method/delete      | DELETE /kib.txt
method/options     | OPTIONS /kib.txt
method/patch       | PATCH /kib.txt | Content-Length: 0
method/trace       | TRACE /kib.txt
method/unknown     | BREW /kib.txt

dir/root           | GET /
dir/index          | GET /index/
dir/index-file     | GET /index/index.html
dir/no-slash       | GET /index
dir/no-slash-query | GET /index?a=1&b=c%20d
dir/prefix         | GET =/files
dir/prefix-query   | GET =/files?x
dir/nested         | GET /deep/er
dir/space          | GET /dir%20with%20space
dir/space-index    | GET /dir%20with%20space/
dir/listing        | GET /plain/
dir/empty          | GET /empty/
dir/file-slash     | GET /kib.txt/
dir/file-below     | GET /kib.txt/x
dir/index-if       | GET /index/ | If-None-Match: {etag}

name/space         | GET /with%20space.txt
name/unicode       | GET /%C3%BCn%C3%AFcode-%E6%96%87-%F0%9F%98%80.txt
name/unicode-case  | GET /%c3%bcn%c3%afcode-%e6%96%87-%f0%9f%98%80.txt
name/unicode-raw   | GET /ünïcode-文-😀.txt
name/percent       | GET /100%25.txt
name/percent-bare  | GET /100%.txt
name/literal-2e    | GET /%252e%252e.txt
name/literal-20    | GET /a%2520b.txt
name/quote         | GET /quote%22.txt
name/quote-raw     | GET /quote".txt
name/apos          | GET /apos'.txt
name/plus          | GET /plus+sign.txt
name/plus-encoded  | GET /plus%2Bsign.txt
name/semicolon     | GET /semi;colon.txt
name/ampersand     | GET /a&b=c.txt
name/hash          | GET /hash%23.txt
name/question      | GET /quest%3F.txt
name/tilde         | GET /%7Etilde~.txt
name/tilde-encoded | GET /tilde%7E.txt
name/brackets      | GET /[brackets].txt
name/tag           | GET /%3Ctag%3E.txt
name/comma         | GET /comma,at@.txt
name/unreserved    | GET /%6b%69%62.txt
name/case          | GET /KIB.TXT
name/two-dots      | GET /two..dots.txt
name/colon         | GET /colon:x.txt
name/dot-end       | GET /dot.
name/space-end     | GET /space%20
name/backslash     | GET /back%5Cslash.txt
name/device        | GET /con.txt
name/three-dots    | GET /...
name/tab           | GET /tab%09.txt
name/invalid-utf8  | GET /%FF.txt
name/nul           | GET /kib.txt%00

path/dot-dot       | GET /plain/../kib.txt
path/dot-dot-enc   | GET /plain/%2e%2e/kib.txt
path/dot           | GET /./kib.txt
path/dot-enc       | GET /plain/%2E/a.txt
path/dots          | GET /././kib.txt
path/dot-dir       | GET /index/.
path/dot-no-slash  | GET /./index
path/above         | GET /../../etc/passwd
path/above-enc     | GET /%2e%2e/%2e%2e/etc/passwd
path/slash-enc     | GET /index%2Findex.html
path/slashes       | GET //kib.txt
path/slashes-dir   | GET /index//
path/well-known    | GET /.well-known/security.txt
path/hidden        | GET /.hidden.txt
path/hidden-dir    | GET /.git/config
path/hidden-below  | GET /plain/.hidden.txt

link/file          | GET /link.txt
link/dir           | GET /link-dir/
link/dir-no-slash  | GET /link-dir
link/out           | GET /link-out.txt
link/out-dir       | GET /link-out/secret.txt
link/out-no-slash  | GET /link-out
link/nowhere       | GET /link-nowhere

inm/own            | GET /kib.txt | If-None-Match: {etag}
inm/own-1.0        | GET/1.0 /kib.txt | If-None-Match: {etag}
inm/head           | HEAD /kib.txt | If-None-Match: {etag}
inm/weak           | GET /kib.txt | If-None-Match: W/{opaque}
inm/other          | GET /kib.txt | If-None-Match: "other"
inm/list           | GET /kib.txt | If-None-Match: "a", W/"b", {etag}, "c"
inm/list-tight     | GET /kib.txt | If-None-Match: "a",{etag}
inm/list-comma     | GET /kib.txt | If-None-Match: "a,b", {etag}
inm/list-empty     | GET /kib.txt | If-None-Match: "a", , {etag},
inm/list-none      | GET /kib.txt | If-None-Match: "a", "b"
inm/lines          | GET /kib.txt | If-None-Match: "a" | If-None-Match: {etag}
inm/star           | GET /kib.txt | If-None-Match: *
inm/star-missing   | GET /missing.txt | If-None-Match: *
inm/unquoted       | GET /kib.txt | If-None-Match: other
inm/missing        | GET /missing.txt | If-None-Match: "a"
inm/zero           | GET /zero.txt | If-None-Match: {etag}

im/own             | GET /kib.txt | If-Match: {etag}
im/head            | HEAD /kib.txt | If-Match: {etag}
im/weak            | GET /kib.txt | If-Match: W/{opaque}
im/other           | GET /kib.txt | If-Match: "other"
im/head-other      | HEAD /kib.txt | If-Match: "other"
im/list            | GET /kib.txt | If-Match: "a", {etag}
im/list-none       | GET /kib.txt | If-Match: "a", "b"
im/lines           | GET /kib.txt | If-Match: "a" | If-Match: {etag}
im/star            | GET /kib.txt | If-Match: *
im/star-missing    | GET /missing.txt | If-Match: *
im/unquoted        | GET /kib.txt | If-Match: other

ims/own            | GET /kib.txt | If-Modified-Since: {last_modified}
ims/head           | HEAD /kib.txt | If-Modified-Since: {last_modified}
ims/before         | GET /kib.txt | If-Modified-Since: {before}
ims/after          | GET /kib.txt | If-Modified-Since: {after}
ims/rfc850         | GET /kib.txt | If-Modified-Since: {same850}
ims/asctime        | GET /kib.txt | If-Modified-Since: {sameasc}
ims/rfc850-before  | GET /kib.txt | If-Modified-Since: {before850}
ims/asctime-before | GET /kib.txt | If-Modified-Since: {beforeasc}
ims/future         | GET /kib.txt | If-Modified-Since: {future}
ims/invalid        | GET /kib.txt | If-Modified-Since: yesterday
ims/invalid-day    | GET /kib.txt | If-Modified-Since: Thu, 32 Mar 2021 05:06:07 GMT
ims/invalid-hour   | GET /kib.txt | If-Modified-Since: Thu, 04 Mar 2021 25:06:07 GMT
ims/number         | GET /kib.txt | If-Modified-Since: 1614834367
ims/lines          | GET /kib.txt | If-Modified-Since: {same} | If-Modified-Since: {same}
ims/missing        | GET /missing.txt | If-Modified-Since: {same}

ius/own            | GET /kib.txt | If-Unmodified-Since: {last_modified}
ius/before         | GET /kib.txt | If-Unmodified-Since: {before}
ius/head-before    | HEAD /kib.txt | If-Unmodified-Since: {before}
ius/after          | GET /kib.txt | If-Unmodified-Since: {after}
ius/rfc850         | GET /kib.txt | If-Unmodified-Since: {same850}
ius/asctime        | GET /kib.txt | If-Unmodified-Since: {sameasc}
ius/rfc850-before  | GET /kib.txt | If-Unmodified-Since: {before850}
ius/asctime-before | GET /kib.txt | If-Unmodified-Since: {beforeasc}
ius/future         | GET /kib.txt | If-Unmodified-Since: {future}
ius/invalid        | GET /kib.txt | If-Unmodified-Since: yesterday

order/im-yes-ius-no  | GET /kib.txt | If-Match: {etag} | If-Unmodified-Since: {before}
order/im-no-ius-yes  | GET /kib.txt | If-Match: "other" | If-Unmodified-Since: {same}
order/inm-yes-ims-no | GET /kib.txt | If-None-Match: {etag} | If-Modified-Since: {before}
order/inm-no-ims-yes | GET /kib.txt | If-None-Match: "other" | If-Modified-Since: {same}
order/inm-ims-yes    | GET /kib.txt | If-None-Match: {etag} | If-Modified-Since: {same}
order/inm-ims-no     | GET /kib.txt | If-None-Match: "other" | If-Modified-Since: {before}
order/im-yes-inm-yes | GET /kib.txt | If-Match: {etag} | If-None-Match: {etag}
order/im-no-inm-yes  | GET /kib.txt | If-Match: "other" | If-None-Match: {etag}
order/im-yes-ims-yes | GET /kib.txt | If-Match: {etag} | If-Modified-Since: {same}
order/im-no-ims-yes  | GET /kib.txt | If-Match: "other" | If-Modified-Since: {same}
order/ius-no-inm-yes | GET /kib.txt | If-Unmodified-Since: {before} | If-None-Match: {etag}
order/ius-yes-inm    | GET /kib.txt | If-Unmodified-Since: {same} | If-None-Match: {etag}
order/ius-no-ims-yes | GET /kib.txt | If-Unmodified-Since: {before} | If-Modified-Since: {same}
order/ius-yes-ims    | GET /kib.txt | If-Unmodified-Since: {same} | If-Modified-Since: {same}
order/im-range       | GET /kib.txt | If-Match: {etag} | Range: bytes=0-9
order/im-no-range    | GET /kib.txt | If-Match: "other" | Range: bytes=0-9
order/inm-range      | GET /kib.txt | If-None-Match: {etag} | Range: bytes=0-9
order/inm-no-range   | GET /kib.txt | If-None-Match: "other" | Range: bytes=0-9
order/ims-range      | GET /kib.txt | If-Modified-Since: {same} | Range: bytes=0-9
order/ius-no-range   | GET /kib.txt | If-Unmodified-Since: {before} | Range: bytes=0-9
order/inm-416        | GET /kib.txt | If-None-Match: {etag} | Range: bytes=9999-
order/im-no-416      | GET /kib.txt | If-Match: "other" | Range: bytes=9999-

range/first        | GET /kib.txt | Range: bytes=0-0
range/ten          | GET /kib.txt | Range: bytes=10-19
range/open         | GET /kib.txt | Range: bytes=1000-
range/all          | GET /kib.txt | Range: bytes=0-
range/all-closed   | GET /kib.txt | Range: bytes=0-1023
range/last         | GET /kib.txt | Range: bytes=1023-
range/clamped      | GET /kib.txt | Range: bytes=1000-5000
range/suffix       | GET /kib.txt | Range: bytes=-5
range/suffix-more  | GET /kib.txt | Range: bytes=-5000
range/suffix-0     | GET /kib.txt | Range: bytes=-0
range/at-end       | GET /kib.txt | Range: bytes=1024-
range/beyond       | GET /kib.txt | Range: bytes=2000-3000
range/mib          | GET /mib.bin | Range: bytes=300000-900000
range/1.0          | GET/1.0 /kib.txt | Range: bytes=10-19
range/unit-case    | GET /kib.txt | Range: BYTES=10-19
range/head         | HEAD /kib.txt | Range: bytes=10-19
range/head-416     | HEAD /kib.txt | Range: bytes=9999-
range/index        | GET /index/ | Range: bytes=0-2
range/missing      | GET /missing.txt | Range: bytes=0-2
range/zero-open    | GET /zero.txt | Range: bytes=0-
range/zero-suffix  | GET /zero.txt | Range: bytes=-5
range/one          | GET /one.bin | Range: bytes=0-0
range/big-number   | GET /kib.txt | Range: bytes=0-99999999999999999999999999
range/big-first    | GET /kib.txt | Range: bytes=99999999999999999999999999-
range/big-suffix   | GET /kib.txt | Range: bytes=-99999999999999999999999999
range/zeros        | GET /kib.txt | Range: bytes=00010-00019

bad/reversed       | GET /kib.txt | Range: bytes=19-10
bad/letters        | GET /kib.txt | Range: bytes=a-b
bad/empty          | GET /kib.txt | Range: bytes=
bad/dash           | GET /kib.txt | Range: bytes=-
bad/no-equals      | GET /kib.txt | Range: bytes 0-9
bad/unit           | GET /kib.txt | Range: lines=0-9
bad/negative       | GET /kib.txt | Range: bytes=--5
bad/inner-space    | GET /kib.txt | Range: bytes=0 - 9
bad/hex            | GET /kib.txt | Range: bytes=0x0-0x9
bad/second         | GET /kib.txt | Range: bytes=0-9,x
bad/second-reverse | GET /kib.txt | Range: bytes=0-9,30-20
bad/lines          | GET /kib.txt | Range: bytes=0-9 | Range: bytes=20-29

multi/two          | GET /kib.txt | Range: bytes=0-9,100-109
multi/ows          | GET /kib.txt | Range: bytes=0-9 , 100-109
multi/empty        | GET /kib.txt | Range: bytes=0-9,,100-109
multi/order        | GET /kib.txt | Range: bytes=100-109,0-9
multi/mixed        | GET /kib.txt | Range: bytes=0-0,500-,-1
multi/suffix       | GET /kib.txt | Range: bytes=0-9,-10
multi/one-left     | GET /kib.txt | Range: bytes=0-9,5000-
multi/none         | GET /kib.txt | Range: bytes=2000-2009,5000-
multi/touch        | GET /kib.txt | Range: bytes=0-9,10-19
multi/overlap      | GET /kib.txt | Range: bytes=0-99,50-149
multi/overlap-3    | GET /kib.txt | Range: bytes=0-99,50-149,90-199
multi/same         | GET /kib.txt | Range: bytes=0-9,0-9
multi/sum          | GET /kib.txt | Range: bytes=0-999,500-1023
multi/mib          | GET /mib.bin | Range: bytes=0-299999,400000-700000,-100
multi/type         | GET /image.png | Range: bytes=0-9,100-109
multi/head         | HEAD /kib.txt | Range: bytes=0-9,100-109

if-range/own       | GET /kib.txt | Range: bytes=0-9 | If-Range: {etag}
if-range/weak      | GET /kib.txt | Range: bytes=0-9 | If-Range: W/{opaque}
if-range/other     | GET /kib.txt | Range: bytes=0-9 | If-Range: "other"
if-range/multi     | GET /kib.txt | Range: bytes=0-9,100-109 | If-Range: {etag}
if-range/list      | GET /kib.txt | Range: bytes=0-9 | If-Range: "a", {etag}
if-range/star      | GET /kib.txt | Range: bytes=0-9 | If-Range: *
if-range/date      | GET /kib.txt | Range: bytes=0-9 | If-Range: {last_modified}
if-range/rfc850    | GET /kib.txt | Range: bytes=0-9 | If-Range: {same850}
if-range/asctime   | GET /kib.txt | Range: bytes=0-9 | If-Range: {sameasc}
if-range/before    | GET /kib.txt | Range: bytes=0-9 | If-Range: {before}
if-range/after     | GET /kib.txt | Range: bytes=0-9 | If-Range: {after}
if-range/invalid   | GET /kib.txt | Range: bytes=0-9 | If-Range: yesterday
if-range/alone     | GET /kib.txt | If-Range: "other"
if-range/416       | GET /kib.txt | Range: bytes=9999- | If-Range: {etag}
if-range/other-416 | GET /kib.txt | Range: bytes=9999- | If-Range: "other"
if-range/inm       | GET /kib.txt | Range: bytes=0-9 | If-Range: "other" | If-None-Match: {etag}

coding/none        | GET /side.txt
coding/gzip        | GET /side.txt | Accept-Encoding: gzip
coding/x-gzip      | GET /side.txt | Accept-Encoding: x-gzip
coding/case        | GET /side.txt | Accept-Encoding: GZip
coding/list        | GET /side.txt | Accept-Encoding: deflate, gzip;q=0.8
coding/browser     | GET /side.txt | Accept-Encoding: gzip, deflate, br, zstd
coding/q0          | GET /side.txt | Accept-Encoding: gzip;q=0
coding/q0.000      | GET /side.txt | Accept-Encoding: gzip;q=0.000, deflate
coding/star        | GET /side.txt | Accept-Encoding: *
coding/star-q0     | GET /side.txt | Accept-Encoding: *;q=0
coding/identity    | GET /side.txt | Accept-Encoding: identity
coding/identity-1  | GET /side.txt | Accept-Encoding: identity, gzip;q=0.5
coding/identity-0  | GET /side.txt | Accept-Encoding: gzip, identity;q=0
coding/no-other    | GET /kib.txt | Accept-Encoding: gzip, identity;q=0
coding/empty       | GET /side.txt | Accept-Encoding:
coding/malformed   | GET /side.txt | Accept-Encoding: gzip;q=x
coding/lines       | GET /side.txt | Accept-Encoding: deflate | Accept-Encoding: gzip
coding/head        | HEAD /side.txt | Accept-Encoding: gzip
coding/1.0         | GET/1.0 /side.txt | Accept-Encoding: gzip
coding/no-sidecar  | GET /kib.txt | Accept-Encoding: gzip
coding/stale       | GET /stale.txt | Accept-Encoding: gzip
coding/png         | GET /packed.png | Accept-Encoding: gzip
coding/br-both     | GET /both.txt | Accept-Encoding: gzip, br
coding/br          | GET /both.txt | Accept-Encoding: br
coding/zstd        | GET /both.txt | Accept-Encoding: gzip, zstd
coding/gzip-first  | GET /both.txt | Accept-Encoding: gzip, br;q=0.5
coding/br-only     | GET /brotli.txt | Accept-Encoding: gzip, br
coding/range       | GET /side.txt | Accept-Encoding: gzip | Range: bytes=0-9
coding/multi       | GET /side.txt | Accept-Encoding: gzip | Range: bytes=0-9,20-29
coding/suffix      | GET /side.txt | Accept-Encoding: gzip | Range: bytes=-5
coding/if-range    | GET /side.txt | Accept-Encoding: gzip | Range: bytes=0-9 | If-Range: {etag}
coding/416         | GET /side.txt | Accept-Encoding: gzip | Range: bytes=2999-
coding/inm         | GET /side.txt | Accept-Encoding: gzip | If-None-Match: {etag}
coding/inm-plain   | GET /side.txt | If-None-Match: {etag}
coding/sidecar     | GET /side.txt.gz
coding/sidecar-ae  | GET /side.txt.gz | Accept-Encoding: gzip
"""


@dataclass(frozen=True)
class Case:
    """One request. `lines` are its field lines, with the symbolic values still in braces."""

    name: str
    method: str
    version: str
    host: str | None
    target: str
    lines: tuple

    def accept_encoding(self):
        return tuple(line for line in self.lines if line.startswith("Accept-Encoding:"))


def cases(types):
    """The table's requests, one for each of the files in `types`, and some with many ranges."""
    rows = TABLE.splitlines() + [f"type/{name} | GET /{name}" for name in types]
    for count in (20, 64, 65):
        ranges = ",".join(f"{n * 2}-{n * 2}" for n in range(count))
        rows.append(f"multi/{count} | GET /kib.txt | Range: bytes={ranges}")
    found = []
    for row in filter(str.strip, rows):
        name, line, *lines = (column.strip() for column in row.split(" | "))
        method, target = line.split(" ", 1)
        method, _, version = method.partition("/")
        host = None if version.endswith("no-host") else "localhost"
        version = version.removesuffix("-no-host") or "1.1"
        target = target[1:] if target.startswith("=") else f"/files{target}"
        found.append(Case(name, method, version, host, target, tuple(lines)))
    names = [case.name for case in found]
    assert len(set(names)) == len(names), "two requests of one name"
    return found
