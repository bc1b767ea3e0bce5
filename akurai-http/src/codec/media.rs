//! Media types by the extension of a file's name.

use crate::codec::parameters::essence;

/// What a file's name says about its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Media {
    /// The value of `Content-Type`. For text, it says that the text is UTF-8.
    pub(crate) content_type: &'static str,
    /// The content is compressed already, so that no coding would make it smaller.
    pub(crate) is_compressed: bool,
}

impl Media {
    /// The media type of a file of this name.
    pub(crate) fn of(file_name: &str) -> Media {
        let extension = file_name
            .rsplit_once('.')
            .map_or("", |(_, extension)| extension);
        let mut room = [0; LONGEST_EXTENSION];
        let known = lower_case(extension, &mut room).and_then(|extension| {
            let plain = find(PLAIN, extension).map(|content_type| (content_type, false));
            plain.or_else(|| Some((find(COMPRESSED, extension)?, true)))
        });
        let (content_type, is_compressed) = known.unwrap_or(("application/octet-stream", false));
        Media {
            content_type,
            is_compressed,
        }
    }
}

/// Whether content of this `Content-Type` is likely to become smaller: text, and formats that are
/// written as text.
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

/// `extension` in lower case, as the tables have it, written to `room`. `None` if it is longer than
/// every extension in them.
fn lower_case<'a>(extension: &str, room: &'a mut [u8]) -> Option<&'a [u8]> {
    let place = room.get_mut(..extension.len())?;
    place.copy_from_slice(extension.as_bytes());
    place.make_ascii_lowercase();
    Some(place)
}

fn find(types: &[(&str, &'static str)], extension: &[u8]) -> Option<&'static str> {
    let by_extension = |(known, _): &(&str, &str)| known.as_bytes().cmp(extension);
    let at = types.binary_search_by(by_extension).ok()?;
    Some(types[at].1)
}

/// Length in bytes; the longest is `webmanifest`.
const LONGEST_EXTENSION: usize = 11;

// Both tables are sorted by extension: a lookup happens for every request.
const PLAIN: &[(&str, &str)] = &[
    ("atom", "application/atom+xml"),
    ("bmp", "image/bmp"),
    ("cjs", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("geojson", "application/geo+json"),
    ("glb", "model/gltf-binary"),
    ("gltf", "model/gltf+json"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("log", "text/plain; charset=utf-8"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mid", "audio/midi"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mpd", "application/dash+xml"),
    ("ndjson", "application/x-ndjson"),
    ("otf", "font/otf"),
    ("rss", "application/rss+xml"),
    ("rtf", "application/rtf"),
    ("sh", "text/x-shellscript; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("tsv", "text/tab-separated-values; charset=utf-8"),
    ("ttc", "font/collection"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("vcf", "text/vcard; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("webmanifest", "application/manifest+json"),
    ("xhtml", "application/xhtml+xml"),
    ("xml", "text/xml; charset=utf-8"),
    ("xsl", "text/xml; charset=utf-8"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
];

const COMPRESSED: &[(&str, &str)] = &[
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("apk", "application/vnd.android.package-archive"),
    ("apng", "image/apng"),
    ("avif", "image/avif"),
    ("br", "application/octet-stream"),
    ("bz2", "application/x-bzip2"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("epub", "application/epub+zip"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("heic", "image/heic"),
    ("jar", "application/java-archive"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("jxl", "image/jxl"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    ("tgz", "application/gzip"),
    ("ts", "video/mp2t"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("xz", "application/x-xz"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
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
            ("a.WebManifest", "application/manifest+json", false),
            ("a.webmanifesto", "application/octet-stream", false),
        ] {
            let expected = Media {
                content_type,
                is_compressed,
            };
            assert_eq!(Media::of(name), expected, "{name}");
        }
    }

    #[test]
    fn every_extension_is_found() {
        for (types, is_compressed) in [(PLAIN, false), (COMPRESSED, true)] {
            for (extension, content_type) in types {
                let media = Media::of(&format!("a.{extension}"));
                assert_eq!(
                    (media.content_type, media.is_compressed),
                    (*content_type, is_compressed),
                    "{extension}"
                );
            }
            assert!(types.is_sorted_by(|one, next| one.0 < next.0));
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
