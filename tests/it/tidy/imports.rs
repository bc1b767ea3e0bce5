//! Which file of a crate imports which, from its text: by `use`, and by paths in the code. A name
//! that a module re-exports counts for the file that defines it. Code for tests only does not
//! count.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Token, code_alone, is_word, tokens, without_tests};

/// A crate's modules.
#[derive(Default)]
pub(super) struct Crate {
    /// Their paths below `src`, `codec/head.rs` for example.
    files: Vec<String>,
    /// Each module's file, by the module's path from the root. A module within a file is there too.
    modules: BTreeMap<Path, usize>,
    /// The names that each module imports by `use`, and the path that each name leads to.
    names: BTreeMap<Path, BTreeMap<String, Path>>,
    /// The modules from which each module imports every name, by `use …::*`.
    globs: BTreeMap<Path, Vec<Path>>,
    /// Every path in the code, and the module where it stands.
    paths: Vec<(Path, Path)>,
}

type Path = Vec<String>;

/// Which file imports which, both as positions in `files`.
pub(super) struct Imports {
    pub(super) files: Vec<String>,
    pub(super) edges: BTreeSet<(usize, usize)>,
}

impl Crate {
    /// Reads the files below `src`: path and text of each.
    pub(super) fn of<'a>(sources: impl IntoIterator<Item = (&'a str, &'a str)>) -> Crate {
        let mut read = Crate::default();
        for (file, text) in sources {
            let module = module_of(file);
            if module.iter().any(|name| name == "tests") {
                continue;
            }
            let index = read.files.len();
            read.files.push(file.to_owned());
            read.modules.insert(module.clone(), index);
            let code = without_tests(&code_alone(text));
            read.module(index, module, &mut tokens(&code).iter().copied().peekable());
        }
        read
    }

    /// Reads a module's tokens, up to the brace that ends it.
    fn module(&mut self, file: usize, module: Path, tokens: &mut Tokens<'_>) {
        let mut depth = 0;
        while let Some((_, token)) = tokens.next() {
            match token {
                "{" => depth += 1,
                "}" if depth == 0 => return,
                "}" => depth -= 1,
                "mod" => {
                    let Some((_, name)) = tokens.next() else {
                        return;
                    };
                    if tokens.next_if(|&(_, token)| token == "{").is_some() {
                        let mut inner = module.clone();
                        inner.push(name.to_owned());
                        self.modules.insert(inner.clone(), file);
                        self.module(file, inner, tokens);
                    }
                }
                "use" => self.tree(&module, Vec::new(), tokens),
                _ if token.starts_with(is_word) => {
                    let mut path = vec![token.to_owned()];
                    while tokens.next_if(|&(_, token)| token == "::").is_some() {
                        match tokens.next_if(|(_, token)| token.starts_with(is_word)) {
                            Some((_, name)) => path.push(name.to_owned()),
                            None => break,
                        }
                    }
                    if path.len() > 1 {
                        self.paths.push((module.clone(), path));
                    }
                }
                _ => {}
            }
        }
    }

    /// Reads a `use` tree, or a brace within one; `start` is the path before it.
    fn tree(&mut self, module: &Path, start: Path, tokens: &mut Tokens<'_>) {
        let mut path = start.clone();
        let mut name = None;
        while let Some((_, token)) = tokens.next() {
            match token {
                "::" => {}
                "as" => name = tokens.next().map(|(_, name)| name.to_owned()),
                "*" => {
                    self.globs.entry(module.clone()).or_default().push(path);
                    path = start.clone();
                }
                "{" => {
                    self.tree(module, path, tokens);
                    path = start.clone();
                }
                "," | "}" | ";" => {
                    if path.len() > start.len() {
                        self.import(module, path, name.take());
                        path = start.clone();
                    }
                    if token != "," {
                        return;
                    }
                }
                token => path.push(token.to_owned()),
            }
        }
    }

    fn import(&mut self, module: &Path, mut path: Path, name: Option<String>) {
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        let name = name.or_else(|| path.last().cloned()).unwrap_or_default();
        let names = self.names.entry(module.clone()).or_default();
        names.insert(name, path.clone());
        self.paths.push((module.clone(), path));
    }

    pub(super) fn imports(self) -> Imports {
        let mut edges = BTreeSet::new();
        let globs = self.globs.iter().flat_map(|(module, paths)| {
            let mut of = paths.iter();
            std::iter::from_fn(move || of.next().map(|path| (module, path)))
        });
        let paths = self.paths.iter().map(|(module, path)| (module, path));
        for (module, path) in paths.chain(globs) {
            let (from, to) = (self.file_of(module), self.leads_to(module, path, 0));
            if let Some(to) = to.and_then(|found| self.file_of(&found)) {
                edges.extend(from.filter(|&from| from != to).map(|from| (from, to)));
            }
        }
        Imports {
            files: self.files,
            edges,
        }
    }

    fn file_of(&self, module: &Path) -> Option<usize> {
        self.modules.get(module).copied()
    }

    /// The module that defines the item at `path`, which stands in `module`; `None` for another
    /// crate's.
    fn leads_to(&self, module: &Path, path: &[String], depth: usize) -> Option<Path> {
        const DEEPEST: usize = 16;
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            _ if depth > DEEPEST => return None,
            "crate" => Vec::new(),
            "self" => module.clone(),
            "super" => module[..module.len().checked_sub(1)?].to_vec(),
            _ => {
                let is_known = self.is_child(module, first) || self.knows(module, first);
                if !is_known || (path.len() == 1 && depth > 0) {
                    return None;
                }
                rest = path;
                module.clone()
            }
        };
        while let Some((name, behind)) = rest.split_first() {
            if name == "super" {
                at.pop()?;
            } else if self.is_child(&at, name) {
                at.push(name.clone());
            } else if let Some(passed_on) = self.names.get(&at).and_then(|names| names.get(name)) {
                if passed_on == rest {
                    return Some(at);
                }
                let further = [passed_on, behind].concat();
                return self.leads_to(&at, &further, depth + 1);
            } else {
                let globs = self.globs.get(&at).into_iter().flatten();
                let mut found = globs.filter_map(|glob| {
                    let inside = self.leads_to(&at, glob, depth + 1)?;
                    let is_there = self.is_child(&inside, name) || self.knows(&inside, name);
                    is_there.then(|| {
                        self.leads_to(&inside, &[&["self".into()], rest].concat(), depth + 1)
                    })?
                });
                return found.next().or(Some(at.clone()));
            }
            rest = behind;
        }
        Some(at)
    }

    fn is_child(&self, module: &Path, name: &str) -> bool {
        let child = [&module[..], &[name.to_owned()]].concat();
        self.modules.contains_key(&child)
    }

    fn knows(&self, module: &Path, name: &str) -> bool {
        self.names
            .get(module)
            .is_some_and(|names| names.contains_key(name))
    }
}

type Tokens<'a> = std::iter::Peekable<std::iter::Copied<std::slice::Iter<'a, Token<'a>>>>;

/// The module of a file below `src`, as its path from the root.
fn module_of(file: &str) -> Path {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let mut path: Path = stem.split('/').map(str::to_owned).collect();
    if path
        .last()
        .is_some_and(|last| ["mod", "lib", "main"].contains(&&**last))
    {
        path.pop();
    }
    path
}

impl Imports {
    /// The files that import each other in a circle, one set for each circle. A file and its
    /// children may import each other, as long as the children do not.
    pub(super) fn circles(&self) -> Vec<Vec<&str>> {
        let all = self.reach(|_, _| true);
        let siblings = self.reach(|from, to| !self.is_family(from, to));
        let mut circles = Vec::new();
        let mut seen = BTreeSet::new();
        for (file, reached) in all.iter().enumerate() {
            let is_back = |&other: &usize| all[other].contains(&file);
            let circle: Vec<usize> = reached.iter().copied().filter(is_back).collect();
            if circle.is_empty() || !seen.insert(circle[0]) {
                continue;
            }
            let parent = circle.iter().find(|&&one| {
                let mut others = circle.iter().filter(|&&other| other != one);
                others.all(|&other| self.is_parent(one, other))
            });
            if parent.is_none() || circle.iter().any(|&one| siblings[one].contains(&one)) {
                circles.push(circle.iter().map(|&one| &*self.files[one]).collect());
            }
        }
        circles
    }

    /// Every import of a higher file, or of a file at the same height in another room; and every
    /// file that is in no room. Each of `tiers` lists its rooms; the lowest tier comes first.
    pub(super) fn against(&self, tiers: &[&[&str]]) -> Vec<String> {
        let height = |file: &str| {
            let room = file.split(['/', '.']).next().unwrap_or(file);
            let height = tiers.iter().position(|rooms| rooms.contains(&room));
            height.map(|height| (height, room.to_owned()))
        };
        let homeless = self.files.iter().filter(|file| height(file).is_none());
        let mut against: Vec<_> = homeless
            .map(|file| format!("{file} stands nowhere"))
            .collect();
        for &(from, to) in &self.edges {
            let (from, to) = (&self.files[from], &self.files[to]);
            if let (Some(high), Some(low)) = (height(from), height(to)) {
                if high.0 < low.0 || (high.0 == low.0 && high.1 != low.1) {
                    against.push(format!("{from} imports {to}"));
                }
            }
        }
        against
    }

    /// The files that match `begin`, and all files that they reach, in order.
    pub(super) fn reached_from(&self, begin: impl Fn(&str) -> bool) -> Vec<&str> {
        let reach = self.reach(|_, _| true);
        let begins: BTreeSet<usize> = (0..self.files.len())
            .filter(|&file| begin(&self.files[file]))
            .collect();
        let reached = begins.iter().flat_map(|&file| &reach[file]);
        let all: BTreeSet<&usize> = reached.chain(&begins).collect();
        all.into_iter().map(|&file| &*self.files[file]).collect()
    }

    /// The files that each file reaches over the imports that `count` accepts.
    fn reach(&self, count: impl Fn(usize, usize) -> bool) -> Vec<BTreeSet<usize>> {
        let reach_of = |start| {
            let (mut reached, mut due) = (BTreeSet::new(), vec![start]);
            while let Some(at) = due.pop() {
                for &(_, to) in self.edges.range((at, 0)..(at + 1, 0)) {
                    if count(at, to) && reached.insert(to) {
                        due.push(to);
                    }
                }
            }
            reached
        };
        (0..self.files.len()).map(reach_of).collect()
    }

    fn is_family(&self, one: usize, other: usize) -> bool {
        self.is_parent(one, other) || self.is_parent(other, one)
    }

    fn is_parent(&self, one: usize, other: usize) -> bool {
        let (one, other) = (module_of(&self.files[one]), module_of(&self.files[other]));
        other.len() > one.len() && other.starts_with(&one)
    }
}
