//! The demo's command line.

use std::fmt;
use std::path::PathBuf;

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
akurai-server: live events and a WebSocket echo, on std alone

Usage: akurai-server [--addr ADDR:PORT]... [--dir DIR [--list]] [--engine URL] [--quiet]

Options:
  --addr ADDR:PORT  Listen there; port 0 takes a free one   [default: 127.0.0.1:8090]
  --addr unix:PATH  Listen at a Unix socket; both may be given several times
  --dir DIR         Also serve the files of DIR, under /files/
  --list            Show what is in a directory that has no index.html
  --engine URL      Share events through a Redis: redis://127.0.0.1:6379, unix:PATH
  --quiet           Write no access log
  --help            Print this
  --version         Print the version
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Serve(Options),
    Help,
    Version,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Where to listen; at least one.
    pub(crate) addrs: Vec<String>,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) list: bool,
    /// Where the events are, if not in memory.
    pub(crate) engine: Option<String>,
    pub(crate) quiet: bool,
}

/// Why a command line is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UsageError {
    Unknown(String),
    MissingValue(&'static str),
    UnwantedValue(String),
    ListWithoutDir,
}

impl Command {
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Command, UsageError> {
        let mut options = Options {
            addrs: Vec::new(),
            dir: None,
            list: false,
            engine: None,
            quiet: false,
        };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let (flag, mut value) = match arg.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
                _ => (arg.as_str(), None),
            };
            match flag {
                "--addr" => {
                    let addr = value.take().or_else(|| args.next());
                    options
                        .addrs
                        .push(addr.ok_or(UsageError::MissingValue("--addr"))?);
                }
                "--dir" => {
                    let dir = value.take().or_else(|| args.next());
                    options.dir = Some(dir.ok_or(UsageError::MissingValue("--dir"))?.into());
                }
                "--list" => options.list = true,
                "--engine" => {
                    let engine = value.take().or_else(|| args.next());
                    options.engine = Some(engine.ok_or(UsageError::MissingValue("--engine"))?);
                }
                "--quiet" => options.quiet = true,
                "--help" if value.is_none() => return Ok(Command::Help),
                "--version" if value.is_none() => return Ok(Command::Version),
                "--help" | "--version" => {}
                _ => return Err(UsageError::Unknown(arg)),
            }
            if value.is_some() {
                return Err(UsageError::UnwantedValue(arg));
            }
        }
        if options.list && options.dir.is_none() {
            return Err(UsageError::ListWithoutDir);
        }
        if options.addrs.is_empty() {
            options.addrs.push("127.0.0.1:8090".to_owned());
        }
        Ok(Command::Serve(options))
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::Unknown(arg) => write!(f, "unknown argument '{arg}'"),
            UsageError::MissingValue(flag) => write!(f, "{flag} needs a value"),
            UsageError::UnwantedValue(arg) => write!(f, "'{arg}': this option takes no value"),
            UsageError::ListWithoutDir => f.write_str("--list goes with --dir"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, UsageError> {
        Command::parse(line.split_whitespace().map(str::to_owned))
    }

    fn serve(addr: &str, dir: Option<&str>, quiet: bool) -> Result<Command, UsageError> {
        Ok(Command::Serve(Options {
            addrs: addr.split(' ').map(str::to_owned).collect(),
            dir: dir.map(PathBuf::from),
            list: false,
            engine: None,
            quiet,
        }))
    }

    #[test]
    fn command_lines() {
        assert_eq!(parse(""), serve("127.0.0.1:8090", None, false));
        assert_eq!(parse("--addr [::]:0 --quiet"), serve("[::]:0", None, true));
        assert_eq!(
            parse("--addr=:80 --dir=a=b"),
            serve(":80", Some("a=b"), false)
        );
        assert_eq!(
            parse("--addr a --addr unix:b"),
            serve("a unix:b", None, false)
        );
        assert_eq!(parse("--dir d"), serve("127.0.0.1:8090", Some("d"), false));
        let Ok(Command::Serve(options)) = parse("--list --dir d") else {
            panic!("--list goes with --dir");
        };
        assert!(options.list && options.dir.is_some());
        assert_eq!(parse("--list"), Err(UsageError::ListWithoutDir));
        let Ok(Command::Serve(options)) = parse("--engine redis://a/1") else {
            panic!("--engine has a value");
        };
        assert_eq!(options.engine.as_deref(), Some("redis://a/1"));
        assert_eq!(parse("--engine"), Err(UsageError::MissingValue("--engine")));
        assert_eq!(parse("--quiet --help"), Ok(Command::Help));
        assert_eq!(parse("--version"), Ok(Command::Version));
        assert_eq!(parse("--addr"), Err(UsageError::MissingValue("--addr")));
        assert_eq!(
            parse("--quiet=1"),
            Err(UsageError::UnwantedValue("--quiet=1".into()))
        );
        assert_eq!(
            parse("--help=1"),
            Err(UsageError::UnwantedValue("--help=1".into()))
        );
        for unknown in ["--port", "-x", "serve", "--addres=1", "="] {
            assert_eq!(parse(unknown), Err(UsageError::Unknown(unknown.into())));
        }
    }
}
