//! A listening Unix socket, and the file by which clients find it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{self, Path, PathBuf};
use std::thread;
use std::time::Duration;

/// A listening socket. Its file is removed when the server stops, or when this is dropped.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    pub(crate) listener: UnixListener,
    /// The path of the file that we made, and its device and inode. Later another file may be
    /// there.
    file: Option<(PathBuf, (u64, u64))>,
}

impl UnixSocket {
    /// Binds this path. If a server died and left its file there, takes the path over.
    pub(crate) fn bind(path: &Path) -> io::Result<UnixSocket> {
        if path.as_os_str().is_empty() {
            let message = "a Unix socket needs a path, and this one is empty";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if fs::symlink_metadata(path).is_ok_and(|file| !file.file_type().is_socket()) {
                    let message = format!("{} is there, and is no socket", path.display());
                    return Err(io::Error::new(error.kind(), message));
                }
                match is_left_over(path) {
                    true => take_over(path, error)?,
                    false => return Err(error),
                }
            }
            bound => bound?,
        };
        let file = path::absolute(path).and_then(|path| Ok((identity(&path)?, path)));
        let file = file.ok().map(|(identity, path)| (path, identity));
        Ok(UnixSocket { listener, file })
    }

    /// Removes the file. This must happen while the socket is open. Otherwise another server could
    /// take the path over in the meantime, and this would remove that server's file.
    pub(crate) fn remove_file(&self) {
        if let Some((path, made)) = &self.file {
            // As long as the socket is open, no other file gets the number of our inode.
            if identity(path).is_ok_and(|found| found == *made) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        self.remove_file();
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Whether `path` is a socket's file that no process has open.
fn is_left_over(path: &Path) -> bool {
    let is_socket = |file: fs::Metadata| file.file_type().is_socket();
    // We ask with a datagram socket. If a socket of another kind is bound there, connect(2) fails
    // with EPROTOTYPE, even before that socket listens, and never waits for a place in its backlog.
    // If no socket is bound there, connect(2) fails with ECONNREFUSED.
    let refusal = || UnixDatagram::unbound()?.connect(path);
    fs::symlink_metadata(path).is_ok_and(is_socket)
        && refusal().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Replaces the file that a dead server left. Only one server at a time may do so: otherwise each
/// could remove the file that the one before it has bound.
fn take_over(path: &Path, in_use: io::Error) -> io::Result<UnixListener> {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    let lock = Path::new(&lock);
    File::create_new(lock).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io::Error::new(
            in_use.kind(),
            format!(
                "{} is there: another server is taking the socket over, or ended while it did",
                lock.display()
            ),
        ),
        _ => error,
    })?;
    // A server that binds just now has made its file a moment before connect(2) finds its socket.
    thread::sleep(Duration::from_millis(10));
    // Another server may have taken over before we had the lock.
    let bound = match is_left_over(path) {
        true => fs::remove_file(path).and_then(|()| UnixListener::bind(path)),
        false => Err(in_use),
    };
    let unlocked = fs::remove_file(lock);
    bound.and_then(|listener| unlocked.map(|()| listener))
}
