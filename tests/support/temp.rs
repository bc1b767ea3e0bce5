//! A directory for one test.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A directory with a unique name. Dropping this removes it with all that is in it.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// An empty directory.
    #[track_caller]
    pub fn new() -> TempDir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("akurai-it-{}-{n}", process::id()));
            match fs::create_dir(&path) {
                // Without symbolic links in its path, so that paths can be compared.
                Ok(()) => return TempDir(path.canonicalize().expect("it was made just now")),
                // A killed process with the same id may have left it behind.
                Err(_) if path.exists() => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of an entry, which need not exist.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// Makes a file, and the directories above it. Its time of modification is
    /// [`long_ago`](TempDir::long_ago).
    #[track_caller]
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        self.write_at(name, content, TempDir::long_ago())
    }

    /// Makes a file whose time of modification is `modified`.
    #[track_caller]
    pub fn write_at(
        &self,
        name: impl AsRef<Path>,
        content: impl AsRef<[u8]>,
        modified: SystemTime,
    ) -> PathBuf {
        let path = self.join(name);
        let parent = path.parent().expect("it lies in the directory");
        let written = fs::create_dir_all(parent).and_then(|()| fs::write(&path, content.as_ref()));
        if let Err(error) = written {
            panic!("{}: {error}", path.display());
        }
        set_modified(&path, modified);
        path
    }

    /// Tue, 14 Nov 2023 22:13:20 GMT and 123,456,700 ns: 1,700,000,000 s after the epoch.
    pub fn long_ago() -> SystemTime {
        UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_700)
    }
}

impl Default for TempDir {
    fn default() -> TempDir {
        TempDir::new()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // If the removal fails, a second panic would not help.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Gives the file at `path` another time of modification.
#[track_caller]
pub fn set_modified(path: &Path, modified: SystemTime) {
    let set = File::options()
        .write(true)
        .open(path)
        .and_then(|file| file.set_modified(modified));
    if let Err(error) = set {
        panic!("{}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_and_go_with_their_directory() {
        let (one, two) = (TempDir::new(), TempDir::new());
        assert_ne!(one.path(), two.path());
        let file = one.write("a/b/c.txt", "text");
        assert_eq!(fs::read(&file).unwrap(), b"text");
        let modified = fs::metadata(&file).and_then(|data| data.modified());
        assert_eq!(modified.unwrap(), TempDir::long_ago());
        drop(one);
        assert!(!file.exists() && two.path().is_dir());
    }
}
