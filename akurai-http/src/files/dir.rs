//! A directory: from names to what lies there, and nowhere else.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use super::Found;
use super::resource::Resource;
use crate::codec::listing::{Entry, EntryKind};
use crate::codec::path::is_plain_name;

#[derive(Debug)]
pub(crate) struct Dir {
    root: PathBuf,
    /// Where the root really lies, as it was found last.
    real: Mutex<Option<Real>>,
}

/// The root's real path, as long as the root is the directory of this identity.
#[derive(Debug, Clone)]
struct Real {
    id: Id,
    path: Arc<Path>,
}

/// What a file is, whatever its name: its device and its number there. `None` where the system does not tell.
type Id = Option<(u64, u64)>;

impl Dir {
    pub(crate) fn new(root: PathBuf) -> Dir {
        Dir {
            root,
            real: Mutex::new(None),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What `path` leads to, which is made of plain names. Whether a directory lies below the root is left open.
    pub(crate) fn find(&self, path: &str) -> Option<Found> {
        let wanted = self.root.join(path);
        let metadata = fs::metadata(&wanted).ok()?;
        if metadata.is_dir() {
            return Some(Found::Directory);
        }
        self.open(&wanted, &metadata).map(Found::File)
    }

    /// The sibling of the file at `path` with one more extension, if it is not older than `file`.
    pub(crate) fn sidecar(&self, path: &str, extension: &str, file: &Resource) -> Option<Resource> {
        sidecar_of(&self.root.join(path), extension, file, |path, metadata| {
            self.open(path, metadata)
        })
    }

    /// Opens a regular file and makes sure that what was opened lies below the root: a symbolic link may lead anywhere, and
    /// may be another one by the time that its file is opened.
    fn open(&self, wanted: &Path, metadata: &Metadata) -> Option<Resource> {
        let file = open_without_waiting(wanted, metadata).ok()?;
        if !self.holds(&file, wanted) {
            return None;
        }
        Resource::of_file(file).ok()
    }

    fn holds(&self, file: &File, path: &Path) -> bool {
        let Ok(real) = real_path(file, path) else {
            return false;
        };
        self.real_root().is_some_and(|root| real.starts_with(root))
            // The root itself may have been moved, which leaves it the same directory.
            || self.find_real_root().is_some_and(|root| real.starts_with(root))
    }

    /// Whether the directory at `path` lies below the root.
    pub(crate) fn holds_directory(&self, path: &str) -> bool {
        self.holds_path(&self.root.join(path))
    }

    fn holds_path(&self, path: &Path) -> bool {
        let (real, root) = (fs::canonicalize(path), self.find_real_root());
        real.ok()
            .zip(root)
            .is_some_and(|(real, root)| real.starts_with(root))
    }

    /// The root's real path. One look tells whether it is still the directory that it was.
    fn real_root(&self) -> Option<Arc<Path>> {
        let id = id_of(&fs::metadata(&self.root).ok()?);
        let known = self
            .real
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match known {
            Some(known) if id.is_some() && known.id == id => Some(known.path),
            _ => self.find_real_root(),
        }
    }

    fn find_real_root(&self) -> Option<Arc<Path>> {
        let path: Arc<Path> = fs::canonicalize(&self.root).ok()?.into();
        let id = id_of(&fs::metadata(&path).ok()?);
        let real = Real {
            id,
            path: Arc::clone(&path),
        };
        *self.real.lock().unwrap_or_else(PoisonError::into_inner) = Some(real);
        Some(path)
    }

    /// The entries of the directory at `path` that can be asked for, at most so many, and how many more there are.
    pub(crate) fn list(&self, path: &str, most: usize) -> Option<(Vec<Entry>, usize)> {
        let dir = self.root.join(path);
        if !self.holds_path(&dir) {
            return None;
        }
        let (mut entries, mut left_out) = (Vec::new(), 0);
        for entry in fs::read_dir(&dir).ok()? {
            let Some(entry) = entry.ok().and_then(|entry| self.entry(&entry)) else {
                continue;
            };
            if entries.len() < most {
                entries.push(entry);
            } else {
                left_out += 1;
            }
        }
        Some((entries, left_out))
    }

    fn entry(&self, entry: &fs::DirEntry) -> Option<Entry> {
        let name = entry.file_name().into_string().ok()?;
        if !is_plain_name(&name) {
            return None;
        }
        let path = entry.path();
        let is_link = entry.file_type().ok()?.is_symlink();
        if is_link && !self.holds_path(&path) {
            return None;
        }
        let metadata = fs::metadata(&path).ok()?;
        let kind = match metadata.is_dir() {
            true => EntryKind::Directory,
            false if metadata.is_file() => EntryKind::File(metadata.len()),
            false => return None,
        };
        let since_epoch = |time: std::time::SystemTime| time.duration_since(UNIX_EPOCH).ok();
        let modified = metadata.modified().ok().and_then(since_epoch);
        Some(Entry {
            name,
            kind,
            modified: modified.map(|since| since.as_secs()),
        })
    }
}

/// Opens the regular file at a path of the program's own; nothing confines it.
pub(crate) fn open_regular(path: &Path) -> Option<Resource> {
    open_anywhere(path, &fs::metadata(path).ok()?)
}

fn open_anywhere(path: &Path, metadata: &Metadata) -> Option<Resource> {
    let file = open_without_waiting(path, metadata).ok()?;
    Resource::of_file(file).ok()
}

/// The sibling of the file at `path` with one more extension, if it is not older than `file`.
pub(crate) fn open_sidecar(path: &Path, extension: &str, file: &Resource) -> Option<Resource> {
    sidecar_of(path, extension, file, open_anywhere)
}

fn sidecar_of(
    path: &Path,
    extension: &str,
    file: &Resource,
    open: impl Fn(&Path, &Metadata) -> Option<Resource>,
) -> Option<Resource> {
    let path = with_extension(path, extension);
    let sidecar = open(&path, &fs::metadata(&path).ok()?)?;
    (sidecar.modified >= file.modified).then_some(sidecar)
}

fn with_extension(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// Opens what `metadata` shows to be a regular file. Opening a FIFO waits for its writer, and opening a device may do anything,
/// so the name is asked first; and since another may have taken its place meanwhile, the opening never waits.
fn open_without_waiting(path: &Path, metadata: &Metadata) -> io::Result<File> {
    if !metadata.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    if let Some(flag) = O_NONBLOCK {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(flag);
    }
    options.open(path)
}

/// open(2)'s flag of this name, which std does not name, where its value is known.
#[cfg(unix)]
const O_NONBLOCK: Option<i32> = if cfg!(all(
    any(target_os = "linux", target_os = "android"),
    not(any(
        target_arch = "mips",
        target_arch = "mips64",
        target_arch = "sparc64"
    ))
)) {
    Some(0o4000)
} else if cfg!(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
)) {
    Some(4)
} else {
    None
};

/// Where the file that was opened at `path` really lies.
fn real_path(file: &File, path: &Path) -> io::Result<PathBuf> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        // The kernel's own word for this very handle. Without /proc, the long way.
        if let Ok(real) = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) {
            return Ok(real);
        }
    }
    let real = fs::canonicalize(path)?;
    // What has this path must be what was opened.
    match id_of(&fs::metadata(&real)?) == id_of(&file.metadata()?) {
        true => Ok(real),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}

#[cfg(unix)]
fn id_of(metadata: &Metadata) -> Id {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn id_of(_: &Metadata) -> Id {
    None
}
