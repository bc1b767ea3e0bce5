//! The demo's command line, and the environment variables that replace it.

use std::fmt;
use std::path::PathBuf;

/// The text that `--help` prints.
pub(crate) const USAGE: &str = "\
akurai-server: live events, a chat and a WebSocket echo, on std alone

Usage: akurai-server [OPTIONS]

Options:
  -a, --addr ADDR   Listen there: HOST:PORT, where port 0 takes a free one, unix:PATH, or stdin,
                    if that is a listening socket, as with systemd's StandardInput=socket;
                    may be given several times          [default: 127.0.0.1:8090]  [env: AKURAI_ADDR]
      --host NAME   Answer to this host name or address too; may be given several times. On loopback
                    alone, or where a NAME is given, other hosts get 421, against DNS rebinding
                            [default: localhost, 127.0.0.1, [::1] and --addr's]  [env: AKURAI_HOST]
  -d, --dir DIR     Also serve the files of DIR, under /files/   [default: none]  [env: AKURAI_DIR]
  -l, --list        Show what is in a directory that has no index.html        [env: AKURAI_LIST]
      --log FORMAT  The access log on stderr: plain or json     [default: plain]  [env: AKURAI_LOG]
  -e, --engine URL  Share events with other servers through a Redis: redis://HOST:PORT or unix:PATH
                                                            [default: none]  [env: AKURAI_ENGINE]
  -q, --quiet       Write no access log                                      [env: AKURAI_QUIET]
  -h, --help        Print this
  -V, --version     Print the version

What the command line says counts before the environment. There, several addresses or names are
separated by spaces, and an option without a value is switched on by 1 and off by 0.

Ctrl-C or SIGTERM ends it. Requests in progress may take 30 s more; a second signal cuts them off.

Exit status: 0 after it was asked to end, 1 if it cannot serve, 2 if it was asked for what it does not know.
";

/// The requested action.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Serve(Options),
    Help,
    Version,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Addresses to listen on; at least one.
    pub(crate) addrs: Vec<String>,
    /// Host names that the server answers to, besides these addresses and loopback.
    pub(crate) hosts: Vec<String>,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) list: bool,
    pub(crate) log: LogFormat,
    /// The engine's URL, if the events are not kept in memory.
    pub(crate) engine: Option<String>,
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    #[default]
    Plain,
    Json,
}

/// The reason why a command line or the environment is refused. For an unknown option, the error
/// repeats only its name: if the user mistyped a known option, the value may be an address with a
/// password.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UsageError {
    Unknown(String),
    MissingValue(&'static str),
    UnwantedValue(&'static str),
    /// The place of the value, the value itself, and the accepted values.
    WrongValue(&'static str, String, &'static str),
    ListWithoutDir,
}

/// An option: its names, and whether it takes a value.
struct Known {
    short: Option<char>,
    long: &'static str,
    variable: Option<&'static str>,
    has_value: bool,
}

const fn known(
    short: Option<char>,
    long: &'static str,
    variable: Option<&'static str>,
    has_value: bool,
) -> Known {
    Known {
        short,
        long,
        variable,
        has_value,
    }
}

const KNOWN: [Known; 9] = [
    known(Some('a'), "--addr", Some("AKURAI_ADDR"), true),
    known(None, "--host", Some("AKURAI_HOST"), true),
    known(Some('d'), "--dir", Some("AKURAI_DIR"), true),
    known(Some('l'), "--list", Some("AKURAI_LIST"), false),
    known(None, "--log", Some("AKURAI_LOG"), true),
    known(Some('e'), "--engine", Some("AKURAI_ENGINE"), true),
    known(Some('q'), "--quiet", Some("AKURAI_QUIET"), false),
    known(Some('h'), "--help", None, false),
    known(Some('V'), "--version", None, false),
];

impl Command {
    /// Parses the words of the command line. `variable` returns the value of an environment
    /// variable.
    pub(crate) fn parse(
        args: impl IntoIterator<Item = String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Command, UsageError> {
        // A user who asks for help gets it, whatever the environment contains.
        let mut environment = from_environment(variable);
        let mut unread = Options::default();
        let options = environment.as_mut().unwrap_or(&mut unread);
        let (mut addrs, mut hosts) = (Vec::new(), Vec::new());
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            for (known, value) in named(&arg)? {
                let value = match (known.has_value, value) {
                    (false, Some(_)) => return Err(UsageError::UnwantedValue(known.long)),
                    (false, None) => String::new(),
                    (true, value) => value
                        .or_else(|| args.next())
                        .ok_or(UsageError::MissingValue(known.long))?,
                };
                match known.long {
                    "--help" => return Ok(Command::Help),
                    "--version" => return Ok(Command::Version),
                    "--addr" => addrs.push(value),
                    "--host" => hosts.push(value),
                    "--dir" => options.dir = Some(value.into()),
                    "--log" => options.log = log_format("--log", &value)?,
                    "--engine" => options.engine = Some(value),
                    "--list" => options.list = true,
                    _ => options.quiet = true,
                }
            }
        }
        let mut options = environment?;
        if !addrs.is_empty() {
            options.addrs = addrs;
        }
        if !hosts.is_empty() {
            options.hosts = hosts;
        }
        if options.addrs.is_empty() {
            options.addrs.push("127.0.0.1:8090".to_owned());
        }
        // With an empty path, Linux would choose an address that nobody knows.
        if options.addrs.iter().any(|addr| addr == "unix:") {
            let wanted = "HOST:PORT or unix:PATH";
            return Err(UsageError::WrongValue("--addr", "unix:".into(), wanted));
        }
        if options.list && options.dir.is_none() {
            return Err(UsageError::ListWithoutDir);
        }
        Ok(Command::Serve(options))
    }
}

/// The options in one word, each with the value that the word gives it: `--dir=x`, `-dx`. Several
/// options without a value can share a word: `-ql`.
fn named(arg: &str) -> Result<Vec<(&'static Known, Option<String>)>, UsageError> {
    let unknown = || {
        let name = arg.split(['=', ':']).next();
        UsageError::Unknown(name.unwrap_or_default().to_owned())
    };
    if arg.starts_with("--") {
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (arg, None),
        };
        let found = KNOWN.iter().find(|known| known.long == name);
        return Ok(vec![(found.ok_or_else(unknown)?, value)]);
    }
    let letters = arg.strip_prefix('-').filter(|letters| !letters.is_empty());
    let letters = letters.ok_or_else(unknown)?;
    let mut all = Vec::new();
    for (at, letter) in letters.char_indices() {
        let found = KNOWN.iter().find(|known| known.short == Some(letter));
        let known = found.ok_or_else(|| UsageError::Unknown(format!("-{letter}")))?;
        let rest = &letters[at + letter.len_utf8()..];
        if known.has_value {
            all.push((known, (!rest.is_empty()).then(|| rest.to_owned())));
            break;
        }
        all.push((known, None));
    }
    Ok(all)
}

fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Options, UsageError> {
    let mut options = Options::default();
    for known in &KNOWN {
        let Some(name) = known.variable else {
            continue;
        };
        let Some(value) = variable(name).filter(|value| !value.is_empty()) else {
            continue;
        };
        let words = || value.split_ascii_whitespace().map(str::to_owned).collect();
        match name {
            "AKURAI_ADDR" => options.addrs = words(),
            "AKURAI_HOST" => options.hosts = words(),
            "AKURAI_DIR" => options.dir = Some(value.into()),
            "AKURAI_LIST" => options.list = is_on(name, value)?,
            "AKURAI_LOG" => options.log = log_format(name, &value)?,
            "AKURAI_ENGINE" => options.engine = Some(value),
            _ => options.quiet = is_on(name, value)?,
        }
    }
    Ok(options)
}

fn log_format(place: &'static str, value: &str) -> Result<LogFormat, UsageError> {
    match value {
        "plain" => Ok(LogFormat::Plain),
        "json" => Ok(LogFormat::Json),
        _ => Err(UsageError::WrongValue(
            place,
            value.to_owned(),
            "plain or json",
        )),
    }
}

fn is_on(place: &'static str, value: String) -> Result<bool, UsageError> {
    match &*value {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(UsageError::WrongValue(place, value, "1 or 0")),
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::Unknown(arg) => write!(f, "unknown argument '{arg}'"),
            UsageError::MissingValue(flag) => write!(f, "{flag} needs a value"),
            UsageError::UnwantedValue(flag) => write!(f, "{flag} takes no value"),
            UsageError::WrongValue(place, value, expected) => {
                write!(f, "{place} is {expected}, and not '{value}'")
            }
            UsageError::ListWithoutDir => f.write_str("--list goes with --dir"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_in(environment: &[(&str, &str)], line: &str) -> Result<Command, UsageError> {
        let words = line.split_whitespace().map(str::to_owned);
        Command::parse(words, |name| {
            let found = environment.iter().find(|(variable, _)| *variable == name);
            Some(found?.1.to_owned())
        })
    }

    fn parse(line: &str) -> Result<Command, UsageError> {
        parse_in(&[], line)
    }

    fn serve(addr: &str, change: impl FnOnce(&mut Options)) -> Result<Command, UsageError> {
        let mut options = Options {
            addrs: addr.split(' ').map(str::to_owned).collect(),
            ..Options::default()
        };
        change(&mut options);
        Ok(Command::Serve(options))
    }

    const DEFAULT: &str = "127.0.0.1:8090";

    #[test]
    fn command_lines() {
        assert_eq!(parse(""), serve(DEFAULT, |_| {}));
        for line in ["--addr [::]:0 --quiet", "-qa [::]:0", "-a[::]:0 -q"] {
            assert_eq!(parse(line), serve("[::]:0", |o| o.quiet = true), "{line}");
        }
        for line in ["--addr=:80 --dir=a=b", "-a:80 -da=b"] {
            let dir = |o: &mut Options| o.dir = Some("a=b".into());
            assert_eq!(parse(line), serve(":80", dir), "{line}");
        }
        assert_eq!(parse("--addr a -a unix:b"), serve("a unix:b", |_| {}));
        let hosts = |o: &mut Options| o.hosts = vec!["a".into(), "b".into()];
        assert_eq!(parse("--host a --host=b"), serve(DEFAULT, hosts));
        let list = serve(DEFAULT, |o| {
            o.dir = Some("d".into());
            o.list = true;
        });
        assert_eq!(parse("--list --dir d"), list);
        assert_eq!(parse("-ld d"), list);
        assert_eq!(
            parse("--log json"),
            serve(DEFAULT, |o| o.log = LogFormat::Json)
        );
        let engine = |o: &mut Options| o.engine = Some("redis://r".into());
        for line in ["--engine redis://r", "-e redis://r"] {
            assert_eq!(parse(line), serve(DEFAULT, engine), "{line}");
        }
        for line in ["--quiet --help", "-h", "-qh"] {
            assert_eq!(parse(line), Ok(Command::Help), "{line}");
        }
        for line in ["--version", "-V"] {
            assert_eq!(parse(line), Ok(Command::Version), "{line}");
        }
    }

    #[test]
    fn the_environment_stands_behind_the_command_line() {
        let environment = [
            ("AKURAI_ADDR", "a:1 unix:b"),
            ("AKURAI_HOST", "h i"),
            ("AKURAI_DIR", "d"),
            ("AKURAI_LIST", "1"),
            ("AKURAI_LOG", "json"),
            ("AKURAI_ENGINE", "unix:r"),
            ("AKURAI_QUIET", "0"),
        ];
        let full = |o: &mut Options| {
            (o.dir, o.list, o.log) = (Some("d".into()), true, LogFormat::Json);
            o.hosts = vec!["h".into(), "i".into()];
            o.engine = Some("unix:r".into());
        };
        assert_eq!(parse_in(&environment, ""), serve("a:1 unix:b", full));
        let changed = serve("c", |o| {
            (o.dir, o.list, o.quiet) = (Some("e".into()), true, true);
            o.hosts = vec!["j".into()];
            o.engine = Some("redis:".into());
        });
        assert_eq!(
            parse_in(&environment, "-a c --host j -d e -q --log plain -e redis:"),
            changed
        );
        assert_eq!(parse_in(&[("AKURAI_DIR", "")], ""), serve(DEFAULT, |_| {}));
    }

    #[test]
    fn what_is_refused() {
        assert_eq!(parse("--list"), Err(UsageError::ListWithoutDir));
        for line in ["--addr", "-a", "-qa"] {
            assert_eq!(parse(line), Err(UsageError::MissingValue("--addr")));
        }
        for (line, flag) in [("--quiet=1", "--quiet"), ("--help=redis://u:p@h", "--help")] {
            assert_eq!(parse(line), Err(UsageError::UnwantedValue(flag)));
        }
        for (line, unknown) in [
            ("--port", "--port"),
            ("--addres=1", "--addres"),
            ("--engin=redis://user:password@host", "--engin"),
            ("--engin:redis://user:password@host", "--engin"),
            ("redis://user:password@host", "redis"),
            ("-xredis://user:password@host", "-x"),
            ("-x", "-x"),
            ("-qx", "-x"),
            ("serve", "serve"),
            ("=", ""),
            ("-", "-"),
            ("--", "--"),
        ] {
            assert_eq!(parse(line), Err(UsageError::Unknown(unknown.into())));
        }
        let wrong = |place, value: &str, expected| {
            Err(UsageError::WrongValue(place, value.into(), expected))
        };
        assert_eq!(parse("--log xml"), wrong("--log", "xml", "plain or json"));
        let no_path = wrong("--addr", "unix:", "HOST:PORT or unix:PATH");
        assert_eq!(parse("-a 127.0.0.1:0 -a unix:"), no_path);
        assert_eq!(parse_in(&[("AKURAI_ADDR", "a:1 unix:")], ""), no_path);
        assert_eq!(
            parse_in(&[("AKURAI_LIST", "yes")], ""),
            wrong("AKURAI_LIST", "yes", "1 or 0")
        );
        // Help works despite the environment, and an error in the command line is reported first.
        let wrong = [("AKURAI_LIST", "yes")];
        assert_eq!(parse_in(&wrong, "-q --help"), Ok(Command::Help));
        assert_eq!(parse_in(&wrong, "-V"), Ok(Command::Version));
        assert_eq!(
            parse_in(&wrong, "-x"),
            Err(UsageError::Unknown("-x".into()))
        );
    }

    #[test]
    fn help_names_every_option() {
        for known in &KNOWN {
            assert!(USAGE.contains(known.long), "{}", known.long);
            if let Some(name) = known.variable {
                assert!(USAGE.contains(name), "{name}");
            }
            if let Some(short) = known.short {
                assert!(USAGE.contains(&format!("-{short}, {}", known.long)));
            }
        }
    }
}
