//! A Unix socket that listens, and the file by which others find it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{self, Path, PathBuf};
use std::thread;
use std::time::Duration;

/// A listening socket, whose file goes when the server stops or this is dropped.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    pub(crate) listener: UnixListener,
    /// Where the file was made, and its device and inode: what stands there later need not be ours.
    file: Option<(PathBuf, (u64, u64))>,
}

impl UnixSocket {
    /// Binds this path, and takes it over from a server that died.
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

    /// Removes the file. While the socket is open, so that no other server takes the path over in the meantime, and then loses
    /// its own file to this.
    pub(crate) fn remove_file(&self) {
        if let Some((path, made)) = &self.file {
            // The number of our inode is given to no other file as long as the socket is there.
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

/// Whether a socket's file is there that no process has open.
fn is_left_over(path: &Path) -> bool {
    let is_socket = |file: fs::Metadata| file.file_type().is_socket();
    // A datagram socket asks: where one of another kind is bound, connect(2) says EPROTOTYPE, even before that listens, and
    // never waits for a place in its backlog. Where none is, it says ECONNREFUSED.
    let refusal = || UnixDatagram::unbound()?.connect(path);
    fs::symlink_metadata(path).is_ok_and(is_socket)
        && refusal().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Binds in place of what is left over. One server at a time does so, or each could remove what the one before it has bound.
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
    // A server that is just binding has made its file a moment before its socket is found by it.
    thread::sleep(Duration::from_millis(10));
    // Before the lock was ours, another may have taken over.
    let bound = match is_left_over(path) {
        true => fs::remove_file(path).and_then(|()| UnixListener::bind(path)),
        false => Err(in_use),
    };
    let unlocked = fs::remove_file(lock);
    bound.and_then(|listener| unlocked.map(|()| listener))
}
