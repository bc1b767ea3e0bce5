//! The server process of `tests/zlib`: framed requests on stdin, framed answers on stdout, so that
//! one process serves all cases. Numbers have 32 bits, the lowest byte first.
//!
//! ```text
//! request:  operation  level  window bits  0   (a byte each)
//!           count, and for each piece of the data: length, flush   what is behind the last piece is not used
//!           length, data
//! answer:   status (a byte)   how much of the data was used
//!           count, and for each piece: how long the output was after it
//!           length, output
//! ```
//!
//! | operation | what is done | status |
//! |---|---|---|
//! | 0 | `Deflate`, each piece flushed: 0 `None`, 1 `Sync`, 2 `Finish` | 0 |
//! | 1 | `compress_alone` of all data, flushed as the last piece is | 0 |
//! | 2 | `Inflate`; a flush of 1 gives memory back (`rest`) once the piece is used up | 0 `End`, 1 `NeedInput`, 2 and on an error |
//! | 3 | `inflate` of all data, into at most as many bytes as the first piece is long | 0, or 2 and on an error |

use std::io::{self, BufReader, BufWriter, Read, Write};

use akurai_http::deflate::{self, Deflate, Flush, Inflate, InflateError, Inflated, Level};

struct Request {
    operation: u8,
    level: u8,
    window_bits: u8,
    /// Each piece's length, and its flush.
    pieces: Vec<(usize, u32)>,
    data: Vec<u8>,
}

#[derive(Default)]
struct Answer {
    status: u8,
    used: usize,
    /// The output's length after each piece.
    lengths: Vec<usize>,
    output: Vec<u8>,
}

fn main() -> io::Result<()> {
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = BufWriter::new(io::stdout().lock());
    while let Some(request) = Request::read(&mut input)? {
        let answer = match request.operation {
            0 => compress(&request),
            1 => compress_alone(&request),
            2 => inflate(&request),
            _ => inflate_whole(&request),
        };
        answer.write(&mut output)?;
        output.flush()?;
    }
    Ok(())
}

fn compress(request: &Request) -> Answer {
    let mut answer = Answer::default();
    let level = Level::new(request.level);
    let mut deflate = Deflate::with_window_bits(level, request.window_bits);
    for (piece, kind) in request.pieces() {
        deflate.compress(piece, flush(kind), &mut answer.output);
        answer.used += piece.len();
        answer.lengths.push(answer.output.len());
    }
    answer
}

fn compress_alone(request: &Request) -> Answer {
    let mut answer = Answer::default();
    let level = Level::new(request.level);
    let kind = request.pieces.last().map_or(2, |&(_, kind)| kind);
    let (data, out) = (&request.data, &mut answer.output);
    Deflate::compress_alone(level, request.window_bits, data, flush(kind), out);
    answer.used = data.len();
    answer.lengths.push(answer.output.len());
    answer
}

fn inflate(request: &Request) -> Answer {
    let mut answer = Answer {
        status: 1,
        ..Answer::default()
    };
    let mut inflate = Inflate::with_window_bits(request.window_bits);
    for (mut piece, kind) in request.pieces() {
        loop {
            let (used, status, output) = match inflate.advance(piece) {
                Ok(came) => came,
                Err(error) => {
                    answer.status = number(error);
                    return answer;
                }
            };
            answer.output.extend_from_slice(output);
            answer.used += used;
            piece = &piece[used..];
            match status {
                Inflated::HasOutput => {}
                Inflated::NeedInput => break,
                Inflated::End => {
                    answer.status = 0;
                    answer.lengths.push(answer.output.len());
                    return answer;
                }
            }
        }
        if kind == 1 {
            inflate.rest();
        }
        answer.lengths.push(answer.output.len());
    }
    answer
}

fn inflate_whole(request: &Request) -> Answer {
    let most = request.pieces.first().map_or(0, |&(len, _)| len);
    let mut answer = Answer::default();
    match deflate::inflate(&request.data, most) {
        Ok(output) => answer.output = output,
        Err(error) => answer.status = number(error),
    }
    answer
}

fn flush(kind: u32) -> Flush {
    match kind {
        0 => Flush::None,
        1 => Flush::Sync,
        _ => Flush::Finish,
    }
}

fn number(error: InflateError) -> u8 {
    match error {
        InflateError::BlockType => 2,
        InflateError::StoredLength => 3,
        InflateError::Code => 4,
        InflateError::Symbol => 5,
        InflateError::Distance => 6,
        InflateError::Unfinished => 7,
        InflateError::TooLong => 8,
        _ => 9,
    }
}

impl Request {
    fn read(input: &mut impl Read) -> io::Result<Option<Request>> {
        let mut head = [0; 4];
        // The input may end only between two requests.
        if input.read(&mut head[..1])? == 0 {
            return Ok(None);
        }
        input.read_exact(&mut head[1..])?;
        let mut pieces = Vec::new();
        for _ in 0..read_number(input)? {
            let len = read_number(input)? as usize;
            pieces.push((len, read_number(input)?));
        }
        let len = read_number(input)?;
        let mut data = Vec::new();
        input.take(len.into()).read_to_end(&mut data)?;
        Ok(Some(Request {
            operation: head[0],
            level: head[1],
            window_bits: head[2],
            pieces,
            data,
        }))
    }

    /// The data's pieces, each with its flush.
    fn pieces(&self) -> impl Iterator<Item = (&[u8], u32)> {
        let mut rest = &self.data[..];
        self.pieces.iter().map(move |&(len, kind)| {
            let (piece, behind) = rest.split_at(len.min(rest.len()));
            rest = behind;
            (piece, kind)
        })
    }
}

impl Answer {
    fn write(&self, output: &mut impl Write) -> io::Result<()> {
        output.write_all(&[self.status])?;
        write_number(output, self.used)?;
        write_number(output, self.lengths.len())?;
        for &length in &self.lengths {
            write_number(output, length)?;
        }
        write_number(output, self.output.len())?;
        output.write_all(&self.output)
    }
}

fn read_number(input: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn write_number(output: &mut impl Write, number: usize) -> io::Result<()> {
    let number = u32::try_from(number).map_err(io::Error::other)?;
    output.write_all(&number.to_le_bytes())
}
