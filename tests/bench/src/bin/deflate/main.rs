//! Our DEFLATE beside its peers: `deflate [--rounds N] [--mib N] [--levels 1,6,9] [NAME...]`.
//!
//! All codecs alternate on the same data in each round. A table has the medians, and the medians of
//! the ratios of each round. All codecs decode zlib's output. Names select data; progress goes to
//! the standard error.

mod codecs;
mod samples;

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use codecs::{Codec, Kind, Reads};
use samples::Sample;

struct Options {
    rounds: usize,
    mib: usize,
    levels: Vec<u8>,
    names: Vec<String>,
}

/// One codec's times with one sample: nanoseconds of each round.
#[derive(Default, Clone)]
struct Times {
    compress: Vec<f64>,
    decompress: Vec<f64>,
}

/// A sample, at a level, by all codecs.
struct Row {
    name: String,
    bytes: usize,
    pieces: usize,
    sizes: Vec<usize>,
    /// The last entry is ours again, with its input cut into reads.
    times: Vec<Times>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = parse(std::env::args().skip(1))?;
    let mut samples: Vec<(Kind, Sample)> = samples::large(options.mib << 20)?
        .into_iter()
        .map(|sample| (Kind::Whole, sample))
        .collect();
    for (kind, how) in [(Kind::Alone, "alone"), (Kind::TakenOver, "taken over")] {
        for bytes in [200, 1024, 16 * 1024] {
            let mut sample = samples::messages(bytes);
            sample.name = format!("{}, {how}", sample.name);
            samples.push((kind, sample));
        }
    }
    let wanted = |name: &str| {
        options.names.is_empty()
            || options
                .names
                .iter()
                .any(|part| name.contains(part.as_str()))
    };
    samples.retain(|(_, sample)| wanted(&sample.name));
    for &level in &options.levels {
        let rows = samples.iter().map(|(kind, sample)| {
            eprintln!("level {level}: {}", sample.name);
            measure(*kind, level, sample, options.rounds)
        });
        let rows: Vec<Row> = rows.collect();
        print(level, &rows);
    }
    Ok(())
}

fn parse(args: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        rounds: 7,
        mib: 4,
        levels: vec![1, 6, 9],
        names: Vec::new(),
    };
    let mut args = args;
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} wants a value"));
        match arg.as_str() {
            "--rounds" => options.rounds = value()?.parse::<usize>()?.max(1),
            "--mib" => options.mib = value()?.parse::<usize>()?.clamp(1, 64),
            "--levels" => {
                let levels: Result<Vec<u8>, _> = value()?.split(',').map(str::parse).collect();
                options.levels = levels?;
            }
            _ if arg.starts_with('-') => return Err(format!("no such option: {arg}").into()),
            _ => options.names.push(arg),
        }
    }
    Ok(options)
}

fn measure(kind: Kind, level: u8, sample: &Sample, rounds: usize) -> Row {
    let codecs = codecs::all();
    let lengths: Vec<usize> = sample.pieces.iter().map(Vec::len).collect();
    let zlib = codecs.last().expect("zlib is the last");
    let encoded = zlib.compress(kind, level, &sample.pieces);
    let mut decoders: Vec<&dyn Codec> = codecs.iter().map(|codec| &**codec).collect();
    decoders.push(&Reads);
    let mut times = vec![Times::default(); decoders.len()];
    let mut sizes = Vec::new();
    for codec in &codecs {
        let made = codec.compress(kind, level, &sample.pieces);
        sizes.push(made.iter().map(Vec::len).sum());
        let back = zlib.decompress(kind, &made, &lengths);
        assert!(back == sample.pieces, "{} lost something", codec.name());
    }
    for codec in &decoders {
        let back = codec.decompress(kind, &encoded, &lengths);
        assert!(back == sample.pieces, "{} read it wrong", codec.name());
    }
    for round in 0..rounds {
        for nth in 0..decoders.len() {
            // The codecs take turns at coming first.
            let at = (round + nth) % decoders.len();
            if at < codecs.len() {
                let begun = Instant::now();
                let made = codecs[at].compress(kind, level, black_box(&sample.pieces));
                let taken = begun.elapsed();
                black_box(made);
                times[at].compress.push(taken.as_nanos() as f64);
            }
            let begun = Instant::now();
            let made = decoders[at].decompress(kind, black_box(&encoded), &lengths);
            let taken = begun.elapsed();
            black_box(made);
            times[at].decompress.push(taken.as_nanos() as f64);
        }
    }
    Row {
        name: sample.name.clone(),
        bytes: sample.bytes(),
        pieces: sample.pieces.len(),
        sizes,
        times,
    }
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    (low + high) / 2.0
}

/// The median of the ratios of each round.
fn ratio(ones: &[f64], others: &[f64]) -> f64 {
    median(ones.iter().zip(others).map(|(one, other)| one / other))
}

fn print(level: u8, rows: &[Row]) {
    println!("\nLevel {level}. Sizes in % of the input, speed in MB/s.\n");
    println!("| | size | | | | compress | | | | decompress | | | | |");
    println!("|---|{}", "---|".repeat(13));
    let names: Vec<&str> = codecs::all().iter().map(|codec| codec.name()).collect();
    let names = names.join(" | ");
    println!("| | {names} | {names} | {names} | {} |", Reads.name());
    for row in rows {
        let mut cells = vec![row.name.clone()];
        let share = |size: &usize| *size as f64 * 100.0 / row.bytes as f64;
        cells.extend(row.sizes.iter().map(|size| format!("{:.1}", share(size))));
        let speed = |times: &[f64]| {
            let speed = row.bytes as f64 * 1e3 / median(times.iter().copied());
            format!("{speed:.0}")
        };
        let codecs = &row.times[..row.sizes.len()];
        cells.extend(codecs.iter().map(|times| speed(&times.compress)));
        cells.extend(row.times.iter().map(|times| speed(&times.decompress)));
        println!("| {} |", cells.join(" | "));
    }
    println!(
        "\n| | bytes | pieces | size to zlib's | compress to miniz_oxide's | to zlib-rs's | decompress to zlib-rs's | in reads |"
    );
    println!("|---|{}", "---|".repeat(7));
    for row in rows {
        let [ours, miniz, zlib_rs, _, reads] = &row.times[..] else {
            unreachable!("four codecs, and one of them again");
        };
        // These are speeds, so the ratio is the others' time to ours.
        println!(
            "| {} | {} | {} | {:.3} | {:.2} | {:.2} | {:.2} | {:.2} |",
            row.name,
            row.bytes,
            row.pieces,
            row.sizes[0] as f64 / row.sizes[3] as f64,
            ratio(&miniz.compress, &ours.compress),
            ratio(&zlib_rs.compress, &ours.compress),
            ratio(&zlib_rs.decompress, &ours.decompress),
            ratio(&zlib_rs.decompress, &reads.decompress),
        );
    }
}
