//! A directory: finds files by name, and only below the directory.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Found;
use super::resource::Resource;
use crate::codec::coding::ContentCoding;
use crate::codec::listing::{Entry, EntryKind};
use crate::codec::path::is_plain_name;
use crate::io::lock::lock;

#[derive(Debug)]
pub(crate) struct Dir {
    root: PathBuf,
    /// The root's real path, as it was last found.
    real: Mutex<Option<Real>>,
}

/// The root's real path. It is valid while the root is still the directory with this `id`.
#[derive(Debug, Clone)]
struct Real {
    id: Id,
    path: Arc<Path>,
}

/// Identifies a file whatever its name: its device and its number there. `None` where the system
/// does not tell.
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

    /// Finds what `path` leads to; it must be made of plain names. A file is opened in the first of
    /// these codings for which a sidecar exists, otherwise as it is. Whether a found directory lies
    /// below the root is not checked here.
    pub(crate) fn find(
        &self,
        path: &str,
        codings: impl Iterator<Item = ContentCoding>,
    ) -> io::Result<Option<Found>> {
        let wanted = self.root.join(path);
        // Joining an empty root and a path gives a path that does not begin with any directory.
        let is_entry = !path.contains('/') && !self.root.as_os_str().is_empty();
        if_there(find_variant(&wanted, codings, |path| match is_entry {
            true => self.open_entry(path),
            false => self.open(path),
        }))
    }

    /// Opens an entry of the root itself. If no symbolic link was followed, the file lies in the
    /// directory that the root's own path led to, so its real path need not be looked up.
    fn open_entry(&self, wanted: &Path) -> io::Result<File> {
        let flags = O_NONBLOCK.zip(O_NOFOLLOW);
        match flags.map(|(wait, follow)| open_with(wanted, wait | follow)) {
            Some(Ok(file)) => Ok(file),
            // If the name does not exist, there is no link to follow.
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Err(error),
            Some(Err(_)) | None => self.open(wanted),
        }
    }

    /// Opens a file and makes sure that the opened file lies below the root. A symbolic link may
    /// lead anywhere, and may be replaced until its file is opened.
    fn open(&self, wanted: &Path) -> io::Result<File> {
        let file = open_without_waiting(wanted)?;
        match self.holds(&file, wanted)? {
            true => Ok(file),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn holds(&self, file: &File, path: &Path) -> io::Result<bool> {
        let real = real_path(file, path)?;
        // A real path has no symbolic link. So if it leads through the root's path, the root's path
        // had no link when the system answered, and the file lies below the root.
        if self.root.is_absolute() && real.starts_with(&self.root) {
            return Ok(true);
        }
        // The root itself may have been renamed; it is still the same directory.
        Ok(real.starts_with(self.real_root()?) || real.starts_with(self.find_real_root()?))
    }

    /// Whether the directory at `path` lies below the root.
    pub(crate) fn holds_directory(&self, path: &str) -> bool {
        self.holds_path(&self.root.join(path)).unwrap_or(false)
    }

    fn holds_path(&self, path: &Path) -> io::Result<bool> {
        Ok(fs::canonicalize(path)?.starts_with(self.find_real_root()?))
    }

    /// The root's real path. At most two system calls check that the root is still the same
    /// directory and still at that path.
    fn real_root(&self) -> io::Result<Arc<Path>> {
        let id = id_of(&fs::metadata(&self.root)?);
        let real = lock(&self.real);
        let known = real.clone().filter(|known| id.is_some() && known.id == id);
        drop(real);
        let is_there = |path: &Path| {
            *path == *self.root || fs::metadata(path).is_ok_and(|metadata| id_of(&metadata) == id)
        };
        match known.filter(|known| is_there(&known.path)) {
            Some(known) => Ok(known.path),
            None => self.find_real_root(),
        }
    }

    fn find_real_root(&self) -> io::Result<Arc<Path>> {
        let path: Arc<Path> = fs::canonicalize(&self.root)?.into();
        let real = Real {
            id: id_of(&fs::metadata(&path)?),
            path: Arc::clone(&path),
        };
        *lock(&self.real) = Some(real);
        Ok(path)
    }

    /// The entries of the directory at `path` that a request can ask for, at most `most`. The
    /// second value says whether these are all.
    pub(crate) fn list(&self, path: &str, most: usize) -> Option<(Vec<Entry>, bool)> {
        let directory = self.open_directory(&self.root.join(path))?;
        let mut entries = Vec::new();
        for entry in directory.entries().ok()? {
            let Some(entry) = entry.ok().and_then(|entry| self.entry(&entry)) else {
                continue;
            };
            if entries.len() == most {
                return Some((entries, false));
            }
            entries.push(entry);
        }
        Some((entries, true))
    }

    fn entry(&self, entry: &fs::DirEntry) -> Option<Entry> {
        let name = entry.file_name().into_string().ok()?;
        if !is_plain_name(&name) {
            return None;
        }
        // The metadata of the entry itself, from the directory that was opened.
        let mut metadata = entry.metadata().ok()?;
        if metadata.is_symlink() {
            metadata = self.target_of_link(&entry.path())?;
        }
        let kind = match metadata.is_dir() {
            true => EntryKind::Directory,
            false if metadata.is_file() => EntryKind::File(metadata.len()),
            false => return None,
        };
        let since_epoch = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok();
        let modified = metadata.modified().ok().and_then(since_epoch);
        Some(Entry {
            name,
            kind,
            modified: modified.map(|since| since.as_secs()),
        })
    }

    /// The metadata of a symbolic link's target, if that lies below the root.
    fn target_of_link(&self, link: &Path) -> Option<Metadata> {
        let metadata = fs::metadata(link).ok()?;
        if metadata.is_dir() {
            return self.open_directory(link)?.metadata();
        }
        self.open(link).ok()?.metadata().ok()
    }

    /// Opens a directory and makes sure that the opened directory lies below the root.
    fn open_directory(&self, path: &Path) -> Option<Directory> {
        let directory = Directory::open(path)?;
        let holds = match &directory.handle {
            Some(handle) => self.holds(handle, path),
            None => self.holds_path(path),
        };
        holds.ok()?.then_some(directory)
    }
}

/// An open directory. Where the system opens directories as files, it stays the same even if its
/// name is given to another.
struct Directory {
    handle: Option<File>,
    path: PathBuf,
}

impl Directory {
    fn open(path: &Path) -> Option<Directory> {
        let handle = match cfg!(unix) {
            // Only a directory contains the dot, so nothing else is opened: opening a FIFO in its
            // place would wait for a writer.
            true => Some(File::open(path.join(".")).ok()?),
            false => None,
        };
        let path = path.to_owned();
        Some(Directory { handle, path })
    }

    fn entries(&self) -> io::Result<fs::ReadDir> {
        #[cfg(target_os = "linux")]
        if let Some(handle) = &self.handle {
            if let Ok(entries) = fs::read_dir(path_of_handle(handle)) {
                return Ok(entries);
            }
        }
        fs::read_dir(&self.path)
    }

    fn metadata(&self) -> Option<Metadata> {
        match &self.handle {
            Some(handle) => handle.metadata().ok(),
            None => fs::metadata(&self.path).ok(),
        }
    }
}

/// The file at a path that the program chose, in the first of these codings for which a sidecar
/// exists, otherwise as it is. The path is not confined to a directory.
pub(crate) fn find_anywhere(
    path: &Path,
    codings: impl Iterator<Item = ContentCoding>,
) -> io::Result<Option<Resource>> {
    Ok(
        match if_there(find_variant(path, codings, open_without_waiting))? {
            Some(Found::File(file)) => Some(file),
            Some(Found::Directory) | None => None,
        },
    )
}

/// What is at `path`. For a regular file: the first of these codings that has a sibling which is
/// not older, otherwise the file as it is.
fn find_variant(
    path: &Path,
    codings: impl Iterator<Item = ContentCoding>,
    open: impl Fn(&Path) -> io::Result<File>,
) -> io::Result<Found> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Ok(Found::Directory);
    }
    for coding in codings {
        let sidecar = with_extension(path, coding.extension());
        let Ok(beside) = fs::metadata(&sidecar) else {
            continue;
        };
        if beside.is_file() && beside.modified().ok() >= metadata.modified().ok() {
            // The sibling may lead out of the root or disappear. Then the file itself is sent.
            let opened = open(&sidecar).and_then(|file| Resource::of_file(file, Some(coding)));
            if let Ok(resource) = opened {
                return Ok(Found::File(resource));
            }
        }
    }
    // The type is checked before opening: opening a FIFO waits for its writer, and opening a device
    // may have any effect.
    if !metadata.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Resource::of_file(open(path)?, None).map(Found::File)
}

/// `None` if there is nothing, or nothing that clients may know about; an error if the system could
/// not tell.
fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    use io::ErrorKind;
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::PermissionDenied
            | ErrorKind::InvalidInput => Ok(None),
            _ if is_of_the_name(&error) => Ok(None),
            _ => Err(error),
        },
    }
}

/// Whether the name is too long or not allowed on this system, or symbolic links form a circle. The
/// kinds `InvalidFilename` and `FilesystemLoop` need a newer Rust than ours.
fn is_of_the_name(error: &io::Error) -> bool {
    let codes: &[i32] = if cfg!(any(target_os = "linux", target_os = "android")) {
        &[36, 40]
    } else if cfg!(unix) {
        &[63, 62]
    } else if cfg!(windows) {
        &[123, 206]
    } else {
        &[]
    };
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&code))
}

fn with_extension(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// Opens a path that was a regular file a moment ago. Another file, such as a FIFO, may have
/// replaced it. So opening never waits, where the flag for that is known.
fn open_without_waiting(path: &Path) -> io::Result<File> {
    open_with(path, O_NONBLOCK.unwrap_or(0))
}

fn open_with(path: &Path, flags: i32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
    #[cfg(not(unix))]
    let _ = flags;
    options.open(path)
}

/// Whether the flags of open(2) have the values of Linux on most processors: std does not name any.
const IS_LINUX: bool = cfg!(all(
    any(target_os = "linux", target_os = "android"),
    any(
        target_arch = "x86",
        target_arch = "x86_64",
        target_arch = "arm",
        target_arch = "aarch64",
        target_arch = "riscv32",
        target_arch = "riscv64",
        target_arch = "powerpc",
        target_arch = "powerpc64",
        target_arch = "loongarch64",
        target_arch = "s390x",
    )
));
/// Linux on processors where it took over the flags of an older Unix, and two systems that descend
/// from that Unix.
const IS_SYSTEM_V: bool = cfg!(any(
    all(
        target_os = "linux",
        any(target_arch = "mips", target_arch = "mips64")
    ),
    target_os = "solaris",
    target_os = "illumos"
));
const IS_BSD: bool = cfg!(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
));

const O_NONBLOCK: Option<i32> = match (IS_LINUX, IS_SYSTEM_V, IS_BSD) {
    (true, _, _) => Some(0o4000),
    (_, true, _) => Some(0o200),
    (_, _, true) => Some(4),
    _ => None,
};

const O_NOFOLLOW: Option<i32> = match (IS_LINUX, IS_SYSTEM_V, IS_BSD) {
    // On processors where Linux took over another system's flags, this one still has its own
    // number.
    (true, _, _) if LINUX_FOLLOWS_OLDER => Some(0o100_000),
    (true, _, _) | (_, true, _) => Some(0o400_000),
    (_, _, true) => Some(0x100),
    _ => None,
};

const LINUX_FOLLOWS_OLDER: bool = cfg!(any(
    target_arch = "arm",
    target_arch = "aarch64",
    target_arch = "powerpc",
    target_arch = "powerpc64"
));

/// The real path of the file that was opened at `path`.
fn real_path(file: &File, path: &Path) -> io::Result<PathBuf> {
    #[cfg(target_os = "linux")]
    // The kernel's own answer for this very handle. Without /proc, the path is resolved again
    // below.
    if let Ok(real) = fs::read_link(path_of_handle(file)) {
        return Ok(real);
    }
    let real = fs::canonicalize(path)?;
    // The file at this path must be the file that was opened.
    match id_of(&fs::metadata(&real)?) == id_of(&file.metadata()?) {
        true => Ok(real),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}

#[cfg(target_os = "linux")]
fn path_of_handle(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
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

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// The result of `f`, which must not wait for anything.
    #[track_caller]
    fn at_once<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
        let (send, receive) = mpsc::channel();
        thread::spawn(move || send.send(f()));
        let result = receive.recv_timeout(Duration::from_secs(60));
        result.expect("it waits for a writer of the FIFO")
    }

    #[test]
    fn a_fifo_in_the_place_of_anything_is_no_wait() {
        let root = std::env::temp_dir().join(format!("akurai-fifo-{}", std::process::id()));
        fs::create_dir(&root).expect("the name is free");
        let fifo = root.join("fifo");
        let made = Command::new("mkfifo").arg(&fifo).status();
        assert!(made.expect("mkfifo can be run").success());
        let dir = Dir::new(root.clone());
        let listed = at_once(move || dir.list("fifo", 10).is_some());
        let path = fifo.clone();
        let is_directory = at_once(move || Directory::open(&path).is_some());
        let opened =
            at_once(move || open_without_waiting(&fifo).map(|f| Resource::of_file(f, None)));
        fs::remove_dir_all(&root).expect("it is ours");
        assert!(!listed && !is_directory);
        let resource = opened.expect("a FIFO opens");
        assert!(resource.is_err(), "and is no regular file");
    }
}
