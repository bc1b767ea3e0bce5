//! Files that are part of the program.

use super::Found;
use super::resource::Resource;
use crate::codec::listing::{Entry, EntryKind};
use crate::codec::path::is_plain_name;

#[derive(Debug)]
pub(crate) struct Embedded {
    /// Sorted by path.
    files: Vec<Embed>,
}

#[derive(Debug)]
struct Embed {
    path: &'static str,
    bytes: &'static [u8],
    hash: u64,
}

impl Embedded {
    #[track_caller]
    pub(crate) fn new(files: &'static [(&'static str, &'static [u8])]) -> Embedded {
        let mut embeds = Vec::with_capacity(files.len());
        for (path, bytes) in files {
            check_path(path);
            embeds.push(Embed {
                path,
                bytes,
                hash: fnv1a(bytes),
            });
        }
        embeds.sort_by_key(|embed| embed.path);
        for pair in embeds.windows(2) {
            assert!(
                pair[0].path != pair[1].path,
                "{:?} is embedded twice",
                pair[0].path
            );
        }
        Embedded { files: embeds }
    }

    pub(crate) fn find(&self, path: &str) -> Option<Found> {
        match self.file(path) {
            Some(file) => Some(Found::File(file)),
            None => self.below(path).next().map(|_| Found::Directory),
        }
    }

    pub(crate) fn sidecar(&self, path: &str, extension: &str) -> Option<Resource> {
        self.file(&format!("{path}.{extension}"))
    }

    /// The entries of the directory at `path`, at most so many, and how many more there are.
    pub(crate) fn list(&self, path: &str, most: usize) -> (Vec<Entry>, usize) {
        let mut entries: Vec<Entry> = Vec::new();
        for (embed, name) in self.below(path) {
            let (name, kind) = match name.split_once('/') {
                Some((directory, _)) => (directory, EntryKind::Directory),
                None => (name, EntryKind::File(embed.bytes.len() as u64)),
            };
            if entries.iter().all(|entry| entry.name != name) {
                entries.push(Entry {
                    name: name.to_owned(),
                    kind,
                    modified: None,
                });
            }
        }
        let left_out = entries.len().saturating_sub(most);
        entries.truncate(most);
        (entries, left_out)
    }

    fn file(&self, path: &str) -> Option<Resource> {
        let at = self
            .files
            .binary_search_by_key(&path, |embed| embed.path)
            .ok()?;
        let embed = &self.files[at];
        Some(Resource::of_bytes(embed.bytes, embed.hash))
    }

    /// The files below a directory, and their paths from there.
    fn below<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = (&'a Embed, &'static str)> {
        self.files.iter().filter_map(move |embed| {
            let below = match directory {
                "" => Some(embed.path),
                directory => embed.path.strip_prefix(directory)?.strip_prefix('/'),
            };
            below.map(|below| (embed, below))
        })
    }
}

/// Panics unless a request can ask for this path below a prefix.
#[track_caller]
pub(crate) fn check_path(path: &str) {
    assert!(
        path.split('/').all(is_plain_name),
        "{path:?} is no path of plain names below the prefix"
    );
}

/// The FNV-1a hash: it tells apart what the programmer has embedded, nothing hostile.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors_of_fnv1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn directories_are_what_paths_have_in_common() {
        let files = Embedded::new(&[
            ("a/x", b"1"),
            ("ab", b"2"),
            ("a/b/y", b"3"),
            ("a/b/z", b"4"),
        ]);
        assert!(matches!(files.find(""), Some(Found::Directory)));
        assert!(matches!(files.find("a"), Some(Found::Directory)));
        assert!(matches!(files.find("ab"), Some(Found::File(_))));
        assert!(
            files.find("b").is_none()
                && files.find("a/").is_none()
                && files.find("a/b/yz").is_none()
        );
        let names = |path| {
            let (entries, left_out) = files.list(path, 2);
            let names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
            (names.join(" "), left_out)
        };
        assert_eq!(names(""), ("a ab".to_owned(), 0));
        assert_eq!(names("a"), ("b x".to_owned(), 0));
        assert_eq!(names("a/b"), ("y z".to_owned(), 0));
    }

    #[test]
    #[should_panic(expected = "\"/a\" is no path of plain names below the prefix")]
    fn a_path_that_nobody_can_ask_for() {
        Embedded::new(&[("/a", b"")]);
    }

    #[test]
    #[should_panic(expected = "\"a\" is embedded twice")]
    fn a_path_that_occurs_twice() {
        Embedded::new(&[("a", b""), ("b", b""), ("a", b"")]);
    }
}
