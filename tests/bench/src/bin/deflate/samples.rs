//! Data of several kinds. The source code and the executable are this repository's. The rest is
//! generated here, and is the same each time.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Something to compress, in one piece or in many.
pub struct Sample {
    pub name: String,
    pub pieces: Vec<Vec<u8>>,
}

impl Sample {
    fn whole(name: &str, bytes: Vec<u8>) -> Sample {
        Sample {
            name: name.to_owned(),
            pieces: vec![bytes],
        }
    }

    pub fn bytes(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum()
    }
}

/// Each of at most `most` bytes.
pub fn large(most: usize) -> Result<Vec<Sample>, Box<dyn Error>> {
    let mut random = Random(0x0d0e_0f1a_7e00_0001);
    let words = Words::new(&mut random);
    let mut samples = vec![
        Sample::whole(
            "text",
            lines(most, |text| words.paragraph(text, &mut random)),
        ),
        Sample::whole("json", json(most, &words, &mut random)),
        Sample::whole("log", log(most, &words, &mut random)),
        Sample::whole("html", html(most, &words, &mut random)),
        Sample::whole("source", source()?),
        Sample::whole("elf", fs::read(beside("hub")?)?),
        Sample::whole("numbers", numbers(most, &mut random)),
        Sample::whole("random", (0..most).map(|_| random.next() as u8).collect()),
    ];
    for sample in &mut samples {
        sample.pieces[0].truncate(most);
    }
    Ok(samples)
}

/// Messages of about `bytes` each, as a WebSocket sends them: JSON with some text in it.
pub fn messages(bytes: usize) -> Sample {
    let mut random = Random(0x0d0e_0f1a_7e00_0002);
    let words = Words::new(&mut random);
    let pieces = (0..(1 << 20) / bytes)
        .map(|number| {
            let mut text = format!(
                r#"{{"type":"message","room":"{}","from":"{}","at":{},"id":{number},"body":""#,
                words.pick(&mut random),
                words.pick(&mut random),
                1_764_028_800_000 + random.below(86_400_000),
            );
            while text.len() < bytes - 2 {
                words.sentence(&mut text, &mut random);
                text.push(' ');
            }
            text.truncate(bytes - 2);
            text.push_str("\"}");
            text.into_bytes()
        })
        .collect();
    let name = match bytes / 1024 {
        0 => format!("{bytes} B"),
        kib => format!("{kib} KiB"),
    };
    Sample { name, pieces }
}

fn lines(most: usize, mut line: impl FnMut(&mut String)) -> Vec<u8> {
    let mut text = String::new();
    while text.len() < most {
        line(&mut text);
    }
    text.into_bytes()
}

fn json(most: usize, words: &Words, random: &mut Random) -> Vec<u8> {
    let mut id = 1000;
    lines(most, |text| {
        id += 1 + random.below(3);
        let (first, last) = (words.pick(random), words.pick(random));
        let (tag, other) = (words.pick(random), words.pick(random));
        let _ = writeln!(
            text,
            r#"{{"id":{id},"name":"{first} {last}","email":"{first}.{last}@example.{}","active":{},"score":{}.{:02},"#,
            ["com", "org", "net"][random.below(3)],
            random.below(4) > 0,
            random.below(100),
            random.below(100),
        );
        let _ = writeln!(
            text,
            r#" "tags":["{tag}","{other}"],"token":"{:016x}","created_at":"2026-{:02}-{:02}T{:02}:{:02}:{:02}Z"}},"#,
            random.next(),
            1 + random.below(12),
            1 + random.below(28),
            random.below(24),
            random.below(60),
            random.below(60),
        );
    })
}

fn log(most: usize, words: &Words, random: &mut Random) -> Vec<u8> {
    let mut second = 0;
    lines(most, |text| {
        second += random.below(2);
        let _ = writeln!(
            text,
            "10.{}.{}.{} - - [25/Nov/2026:{:02}:{:02}:{:02} +0000] \"{} /{}/{}?page={} HTTP/1.1\" {} {} \"-\" \"{}\"",
            random.below(4),
            random.below(256),
            random.below(256),
            second / 3600 % 24,
            second / 60 % 60,
            second % 60,
            ["GET", "GET", "GET", "POST"][random.below(4)],
            words.pick(random),
            words.pick(random),
            random.below(50),
            [200, 200, 200, 200, 304, 404, 500][random.below(7)],
            random.skewed(50_000),
            [
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0",
                "curl/8.14.1",
            ][random.below(3)],
        );
    })
}

fn html(most: usize, words: &Words, random: &mut Random) -> Vec<u8> {
    let mut number = 0;
    lines(most, |text| {
        number += 1;
        let (page, title) = (words.pick(random), words.pick(random));
        let _ = write!(
            text,
            "<article class=\"entry entry--{}\" id=\"entry-{number}\">\n  <h2><a href=\"/{page}/{number}\">{title}</a></h2>\n  <p>",
            ["wide", "narrow"][random.below(2)],
        );
        words.sentence(text, random);
        let _ = write!(text, " <em>{}</em> ", words.pick(random));
        words.sentence(text, random);
        let _ = write!(
            text,
            "</p>\n  <p class=\"meta\"><time datetime=\"2026-11-{:02}\">{} days ago</time> by <a href=\"/people/{1}\">{1}</a></p>\n</article>\n",
            1 + random.below(30),
            words.pick(random),
        );
    })
}

/// Rows of 24 bytes: a number, a time, a walk, a measurement, flags.
fn numbers(most: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(most + 24);
    let (mut number, mut time, mut walk) = (0u32, 1_764_028_800u32, 0i32);
    while bytes.len() < most {
        number += 1;
        time += random.below(4) as u32;
        walk += random.below(201) as i32 - 100;
        let measured = (2000 + random.below(400)) as f64 / 100.0;
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(&time.to_le_bytes());
        bytes.extend_from_slice(&walk.to_le_bytes());
        bytes.extend_from_slice(&measured.to_le_bytes());
        bytes.extend_from_slice(&(1u32 << random.below(8)).to_le_bytes());
    }
    bytes
}

/// The Rust sources of the workspace's packages.
fn source() -> Result<Vec<u8>, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut all = Vec::new();
    for package in ["akurai-http", "akurai-ws", "akurai-server", "tests/it"] {
        let mut dirs = vec![root.join(package)];
        while let Some(dir) = dirs.pop() {
            let entries: Result<Vec<_>, _> = fs::read_dir(dir)?.collect();
            let mut paths: Vec<PathBuf> = entries?.iter().map(|entry| entry.path()).collect();
            paths.sort();
            for path in paths {
                if path.is_dir() {
                    dirs.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    all.extend(fs::read(path)?);
                }
            }
        }
    }
    Ok(all)
}

/// Another program of this package.
fn beside(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

/// Made-up words. A few are frequent and most are rare, by Zipf's law, and a word often predicts
/// the next one.
struct Words {
    words: Vec<String>,
}

impl Words {
    fn new(random: &mut Random) -> Words {
        let heads = "th,w,h,b,s,m,t,f,st,r,l,p,d,c,n,g,br,tr,pl,sh,ch,v,y,k,cr,fr,sp,gr,pr,qu";
        let vowels = "e,a,o,i,u,ea,ou,ee,ai,io";
        let tails = ",n,r,s,t,d,l,nd,ng,st,m,ck,ll,nt,ss,rk,gh,ly,tion,ment,er,ing";
        let lists = [heads, vowels, tails].map(|list| list.split(',').collect::<Vec<_>>());
        let mut words: Vec<String> = (0..16_000)
            .map(|rank| {
                let syllables = 1 + random.skewed(3 + usize::from(rank > 200));
                (0..syllables)
                    .flat_map(|_| lists.each_ref().map(|list| list[random.skewed(list.len())]))
                    .collect()
            })
            .collect();
        words.sort();
        words.dedup();
        // Short ones are frequent.
        words.sort_by_cached_key(|word| word.len() * 4 + random.below(16));
        Words { words }
    }

    fn pick(&self, random: &mut Random) -> &str {
        &self.words[random.zipf(self.words.len())]
    }

    fn sentence(&self, text: &mut String, random: &mut Random) {
        let (begin, count) = (text.len(), 5 + random.below(18));
        let mut word = random.zipf(self.words.len());
        for nth in 0..count {
            if nth > 0 {
                text.push_str(if random.below(12) == 0 { ", " } else { " " });
            }
            text.push_str(&self.words[word]);
            // One of the few words that usually follow, or any word.
            word = match random.below(5) {
                0..3 => {
                    let mut next = Random(word as u64 * 8 + random.skewed(8) as u64);
                    next.zipf(self.words.len())
                }
                _ => random.zipf(self.words.len()),
            };
        }
        text[begin..begin + 1].make_ascii_uppercase();
        text.push_str(if random.below(10) == 0 { "?" } else { "." });
    }

    fn paragraph(&self, text: &mut String, random: &mut Random) {
        for nth in 0..3 + random.below(5) {
            if nth > 0 {
                text.push(' ');
            }
            self.sentence(text, random);
        }
        text.push_str("\n\n");
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// Small numbers come more often.
    fn skewed(&mut self, end: usize) -> usize {
        let most = self.below(end) + 1;
        self.below(most)
    }

    /// The number n comes about as often as 1 / (n + 1).
    fn zipf(&mut self, end: usize) -> usize {
        let unit = self.below(1 << 30) as f64 / f64::from(1 << 30);
        ((end as f64).powf(unit) as usize - 1).min(end - 1)
    }
}
