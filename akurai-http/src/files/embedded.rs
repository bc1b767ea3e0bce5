//! Files that are part of the program.

use super::Found;
use super::resource::Resource;
use crate::codec::coding::ContentCoding;
use crate::codec::listing::{Entry, EntryKind};
use crate::codec::path::is_path_of_file;

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
        let mut embeds: Vec<Embed> = Vec::with_capacity(files.len());
        for (path, bytes) in files {
            check_path(path);
            let Err(at) = embeds.binary_search_by_key(path, |embed| embed.path) else {
                panic!("{path:?} is embedded twice");
            };
            let hash = fnv1a(bytes);
            embeds.insert(at, Embed { path, bytes, hash });
        }
        Embedded { files: embeds }
    }

    pub(crate) fn find(
        &self,
        path: &str,
        codings: impl Iterator<Item = ContentCoding>,
    ) -> Option<Found> {
        let Some(file) = self.file(path) else {
            return self.below(path).next().map(|_| Found::Directory);
        };
        for coding in codings {
            if let Some(sidecar) = self.file(&format!("{path}.{}", coding.extension())) {
                return Some(Found::File(sidecar.resource(Some(coding))));
            }
        }
        Some(Found::File(file.resource(None)))
    }

    /// The entries of the directory at `path`, at most `most`. The second value says whether these
    /// are all.
    pub(crate) fn list(&self, path: &str, most: usize) -> (Vec<Entry>, bool) {
        let mut entries: Vec<Entry> = Vec::new();
        for (embed, name) in self.below(path) {
            let (name, kind) = match name.split_once('/') {
                Some((directory, _)) => (directory, EntryKind::Directory),
                None => (name, EntryKind::File(embed.bytes.len() as u64)),
            };
            // The files are sorted, so all files of one subdirectory follow each other.
            if entries.last().is_some_and(|last| last.name == name) {
                continue;
            }
            if entries.len() == most {
                return (entries, false);
            }
            entries.push(Entry {
                name: name.to_owned(),
                kind,
                modified: None,
            });
        }
        (entries, true)
    }

    fn file(&self, path: &str) -> Option<&Embed> {
        let at = self.files.binary_search_by_key(&path, |embed| embed.path);
        Some(&self.files[at.ok()?])
    }

    /// The files below a directory, each with its path from there.
    fn below(&self, directory: &str) -> impl Iterator<Item = (&Embed, &'static str)> {
        let prefix = match directory {
            "" => String::new(),
            directory => format!("{directory}/"),
        };
        let first = self
            .files
            .partition_point(|embed| embed.path < prefix.as_str());
        self.files[first..]
            .iter()
            .map_while(move |embed| Some((embed, embed.path.strip_prefix(&*prefix)?)))
    }
}

impl Embed {
    fn resource(&self, coding: Option<ContentCoding>) -> Resource {
        Resource::of_bytes(self.bytes, self.hash, coding)
    }
}

/// Panics unless a request can ask for this path below a prefix.
#[track_caller]
pub(crate) fn check_path(path: &str) {
    assert!(
        is_path_of_file(path),
        "{path:?} is no path of plain names below the prefix"
    );
}

/// The FNV-1a hash. It only has to distinguish files that the programmer embedded, not hostile
/// ones.
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
            ("c", b"5"),
        ]);
        let find = |path| files.find(path, std::iter::empty());
        assert!(matches!(find(""), Some(Found::Directory)));
        assert!(matches!(find("a"), Some(Found::Directory)));
        assert!(matches!(find("ab"), Some(Found::File(_))));
        assert!(find("b").is_none() && find("a/").is_none() && find("a/b/yz").is_none());
        let names = |path| {
            let (entries, is_whole) = files.list(path, 2);
            let names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
            (names.join(" "), is_whole)
        };
        assert_eq!(names(""), ("a ab".to_owned(), false));
        assert_eq!(names("a"), ("b x".to_owned(), true));
        assert_eq!(names("a/b"), ("y z".to_owned(), true));
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
