//! Media types by the extension of a file's name.

use crate::codec::parameters::essence;

/// What a file's name says of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Media {
    /// The value of `Content-Type`; text says that it is UTF-8.
    pub(crate) content_type: &'static str,
    /// It is compressed already, so that no coding would make it smaller.
    pub(crate) is_compressed: bool,
}

impl Media {
    /// That of a file of this name.
    pub(crate) fn of(file_name: &str) -> Media {
        let extension = file_name
            .rsplit_once('.')
            .map_or("", |(_, extension)| extension);
        let find = |types: &[(&str, &'static str)]| {
            let known = types
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(extension));
            known.map(|(_, content_type)| *content_type)
        };
        let plain = find(PLAIN);
        Media {
            content_type: plain
                .or_else(|| find(COMPRESSED))
                .unwrap_or("application/octet-stream"),
            is_compressed: plain.is_none() && find(COMPRESSED).is_some(),
        }
    }
}

/// Whether content of this type, the value of `Content-Type`, is likely to become smaller: text, and what is written as text.
pub(crate) fn is_compressible(content_type: &[u8]) -> bool {
    const OTHERS: [&[u8]; 9] = [
        b"application/json",
        b"application/javascript",
        b"application/xml",
        b"application/wasm",
        b"application/x-ndjson",
        b"application/yaml",
        b"application/toml",
        b"image/bmp",
        b"image/x-icon",
    ];
    let essence = essence(content_type).to_ascii_lowercase();
    let is_event_stream = essence == b"text/event-stream";
    !is_event_stream
        && (essence.starts_with(b"text/")
            || essence.ends_with(b"+json")
            || essence.ends_with(b"+xml")
            || OTHERS.contains(&&essence[..])
            || matches!(&essence[..], b"font/ttf" | b"font/otf"))
}

const PLAIN: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("xhtml", "application/xhtml+xml"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("cjs", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("geojson", "application/geo+json"),
    ("ndjson", "application/x-ndjson"),
    ("map", "application/json"),
    ("webmanifest", "application/manifest+json"),
    ("wasm", "application/wasm"),
    ("txt", "text/plain; charset=utf-8"),
    ("log", "text/plain; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("tsv", "text/tab-separated-values; charset=utf-8"),
    ("ics", "text/calendar; charset=utf-8"),
    ("vcf", "text/vcard; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("xml", "text/xml; charset=utf-8"),
    ("xsl", "text/xml; charset=utf-8"),
    ("rss", "application/rss+xml"),
    ("atom", "application/atom+xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("toml", "application/toml"),
    ("sh", "text/x-shellscript; charset=utf-8"),
    ("rtf", "application/rtf"),
    ("svg", "image/svg+xml"),
    ("bmp", "image/bmp"),
    ("ico", "image/x-icon"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("wav", "audio/wav"),
    ("mid", "audio/midi"),
    ("ttf", "font/ttf"),
    ("otf", "font/otf"),
    ("ttc", "font/collection"),
    ("gltf", "model/gltf+json"),
    ("glb", "model/gltf-binary"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("mpd", "application/dash+xml"),
    ("tar", "application/x-tar"),
];

const COMPRESSED: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("apng", "image/apng"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("jxl", "image/jxl"),
    ("heic", "image/heic"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
    ("aac", "audio/aac"),
    ("flac", "audio/flac"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("weba", "audio/webm"),
    ("mp4", "video/mp4"),
    ("m4v", "video/mp4"),
    ("mov", "video/quicktime"),
    ("ogv", "video/ogg"),
    ("webm", "video/webm"),
    ("mkv", "video/x-matroska"),
    ("ts", "video/mp2t"),
    ("pdf", "application/pdf"),
    ("epub", "application/epub+zip"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("jar", "application/java-archive"),
    ("apk", "application/vnd.android.package-archive"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("tgz", "application/gzip"),
    ("br", "application/octet-stream"),
    ("zst", "application/zstd"),
    ("bz2", "application/x-bzip2"),
    ("xz", "application/x-xz"),
    ("7z", "application/x-7z-compressed"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_extension_in_any_case() {
        for (name, content_type, is_compressed) in [
            ("a.HTML", "text/html; charset=utf-8", false),
            ("a.min.js", "text/javascript; charset=utf-8", false),
            ("a.mjs", "text/javascript; charset=utf-8", false),
            ("a.wasm", "application/wasm", false),
            ("a.svg", "image/svg+xml", false),
            ("a.tar.gz", "application/gzip", true),
            ("a.woff2", "font/woff2", true),
            ("html", "application/octet-stream", false),
            ("a.", "application/octet-stream", false),
            ("a.unknown", "application/octet-stream", false),
        ] {
            let expected = Media {
                content_type,
                is_compressed,
            };
            assert_eq!(Media::of(name), expected, "{name}");
        }
    }

    #[test]
    fn text_and_what_is_written_as_text() {
        for (content_type, expected) in [
            ("text/html; charset=utf-8", true),
            ("TEXT/css", true),
            ("application/json", true),
            ("application/manifest+json", true),
            ("image/svg+xml", true),
            ("text/event-stream", false),
            ("image/png", false),
            ("application/octet-stream", false),
            ("", false),
        ] {
            assert_eq!(
                is_compressible(content_type.as_bytes()),
                expected,
                "{content_type}"
            );
        }
    }
}
