//! Forms with files, read part by part (RFC 7578).

use std::fmt;
use std::io::{self, Read};

use crate::codec::multipart::{Delimiter, PartHeadParser, Scan, disposition};
use crate::codec::parameters::{essence, parameter};
use crate::{BodyReader, FormError, Headers, Request};

/// A reader's buffer, in bytes. It is larger than a part's header section or a delimiter.
const BUFFER_BYTES: usize = 16 * 1024;

/// Most parts of a form. More: 400.
const PARTS: usize = 1_000;

impl Request {
    /// The body as a form with files, `multipart/form-data`, read part by part in constant memory.
    ///
    /// ```
    /// use akurai_http::{Request, Response};
    /// use std::io;
    ///
    /// fn upload(req: &Request) -> io::Result<Response> {
    ///     let mut multipart = req.multipart()?;
    ///     let mut answer = String::new();
    ///     while let Some(mut part) = multipart.next_part()? {
    ///         if part.file_name().is_some() {
    ///             let bytes = io::copy(&mut part, &mut io::sink())?;
    ///             answer += &format!("{}: {bytes} bytes\n", part.name());
    ///         } else {
    ///             let text = part.text(1024)?;
    ///             answer += &format!("{}: {text}\n", part.name());
    ///         }
    ///     }
    ///     Ok(Response::text(answer))
    /// }
    /// # let body = "--b\r\nContent-Disposition: form-data; name=title\r\n\r\nNotes\r\n\
    /// #     --b\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n1234\r\n--b--\r\n";
    /// # let request = Request::new(akurai_http::Method::Post, "/")
    /// #     .with_header("Content-Type", "multipart/form-data; boundary=b")
    /// #     .with_body(body);
    /// # assert_eq!(upload(&request)?.body(), Some(&b"title: Notes\nfile: 4 bytes\n"[..]));
    /// # Ok::<(), io::Error>(())
    /// ```
    ///
    /// [`Limits::max_body_bytes`](crate::Limits::max_body_bytes) bounds the whole body, 1 MiB by
    /// default;
    /// [`Router::max_body_bytes`](crate::Router::max_body_bytes) lets one route take more.
    ///
    /// # Errors
    ///
    /// As a [`FormError`]: 415 if `Content-Type` is missing or names another type; 400 if its
    /// boundary is missing, occurs twice, or is not 1 to 70 characters that RFC 2046 §5.1.1 or a
    /// token allows. The body is not read then.
    pub fn multipart(&self) -> io::Result<Multipart<BodyReader<'_>>> {
        let content_type = self.headers().bytes("Content-Type").unwrap_or(b"");
        if !essence(content_type).eq_ignore_ascii_case(b"multipart/form-data") {
            return Err(FormError::MediaType.into());
        }
        match parameter(content_type, "boundary") {
            Ok(Some(boundary)) => Multipart::new(self.body_reader(), &boundary),
            _ => Err(FormError::Boundary.into()),
        }
    }
}

/// Reads `multipart/form-data` (RFC 7578); see [`Request::multipart`].
///
/// Lines of boundaries and heads end with CRLF; only the line before the first boundary may end
/// with LF alone. Bytes before the first boundary and after the last one are ignored
/// (RFC 2046 §5.1.1). If the first boundary stands within a line, the form is refused, since a part
/// may be lost. A folded line of a part's head is read as one line (RFC 5322 §2.2.3).
/// `Content-Transfer-Encoding` is not decoded: no browser sends it, and RFC 7578 §4.7 deprecates
/// it.
pub struct Multipart<R> {
    reader: R,
    delimiter: Delimiter,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// The reader has reached its end.
    at_end: bool,
    place: Place,
    /// How many bytes from `start` on are known to be content.
    content: usize,
    parts: usize,
}

/// What comes next in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The preamble. The byte before the next unscanned one is kept.
    Preamble,
    /// The empty line before content. If the content is empty, this is the beginning of a
    /// delimiter.
    EmptyLine,
    /// Content of a part.
    Content,
    /// The head of a part.
    Head,
    /// The epilogue.
    Epilogue,
}

impl<R: Read> Multipart<R> {
    /// A reader of the parts in `reader`, which `boundary` separates.
    ///
    /// # Errors
    ///
    /// [`FormError::Boundary`] if it is not 1 to 70 characters that RFC 2046 §5.1.1 or a token
    /// allows, or if it ends with a space.
    pub(crate) fn new(reader: R, boundary: &[u8]) -> io::Result<Multipart<R>> {
        let delimiter = Delimiter::new(boundary).ok_or(FormError::Boundary)?;
        let mut buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        // The first boundary may stand at the very beginning of the body, which is the beginning of
        // a line.
        buffer[0] = b'\n';
        Ok(Multipart {
            reader,
            delimiter,
            buffer,
            start: 0,
            end: 1,
            at_end: false,
            place: Place::Preamble,
            content: 0,
            parts: 0,
        })
    }

    /// The next part; `None` after the last one, when the body has been read to its end. Skips what
    /// was left unread of the part before.
    ///
    /// # Errors
    ///
    /// The reader's. And as a [`FormError`]: 400 if the body ends without its final boundary, so
    /// that a form that was cut off is never taken for a whole one; 400 if a boundary or a part's
    /// head is malformed, or if there are more than 1,000 parts; 413 if a part's header section is
    /// longer than 8 KiB. Each further call returns an error of the form again.
    pub fn next_part(&mut self) -> io::Result<Option<Part<'_, R>>> {
        loop {
            match self.next_content()? {
                0 => break,
                count => self.consume_content(count),
            }
        }
        if self.place == Place::Epilogue {
            self.skip_epilogue()?;
            return Ok(None);
        }
        if self.parts == PARTS {
            return Err(FormError::TooManyParts.into());
        }
        let (headers, len) = self.head()?;
        let (name, file_name) = {
            let mut dispositions = headers.all("Content-Disposition");
            match (dispositions.next(), dispositions.next()) {
                (Some(one), None) => disposition(one)?,
                _ => return Err(FormError::Disposition.into()),
            }
        };
        // All that was parsed, except the CRLF of the empty line.
        self.start += len - 2;
        self.place = Place::EmptyLine;
        self.parts += 1;
        Ok(Some(Part {
            multipart: self,
            headers,
            name,
            file_name,
        }))
    }

    /// Reads a part's header section, and returns its length in bytes. It stays in the buffer: if
    /// it is refused, the next call refuses it again.
    fn head(&mut self) -> io::Result<(Headers, usize)> {
        let mut parser = PartHeadParser::default();
        let len = loop {
            match parser.advance(self.buffered())? {
                Some(len) => break len,
                None => self.need_more()?,
            }
        };
        let mut headers = Headers::default();
        headers.assign(&parser.unfolded, &mut parser.lines);
        Ok((headers, len))
    }

    /// How many bytes of content stand next in the buffer; 0 once the delimiter after them was
    /// passed.
    fn next_content(&mut self) -> io::Result<usize> {
        while self.content == 0 && !matches!(self.place, Place::Head | Place::Epilogue) {
            let scan = match self.place {
                Place::Preamble => Delimiter::scan_preamble,
                _ => Delimiter::scan,
            };
            match scan(&self.delimiter, self.buffered(), self.at_end)? {
                // Scanned content that begins with the empty line holds both bytes of that line.
                Scan::Content(count) if self.place == Place::EmptyLine => {
                    self.start += 2;
                    self.content = count - 2;
                    self.place = Place::Content;
                }
                Scan::Content(count) => self.content = count,
                Scan::Part(len) => {
                    self.start += len;
                    self.place = Place::Head;
                }
                Scan::Close(len) => {
                    self.start += len;
                    self.place = Place::Epilogue;
                }
                Scan::More => self.need_more()?,
            }
        }
        Ok(self.content)
    }

    fn consume_content(&mut self, count: usize) {
        self.start += count;
        self.content -= count;
    }

    fn skip_epilogue(&mut self) -> io::Result<()> {
        while !self.at_end {
            self.start = self.end;
            self.fill()?;
        }
        Ok(())
    }

    fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn need_more(&mut self) -> io::Result<()> {
        match self.at_end {
            true => Err(FormError::Truncated.into()),
            false => self.fill(),
        }
    }

    /// Reads once, into the room behind the buffered bytes.
    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        debug_assert!(
            self.end < self.buffer.len(),
            "no room, and 0 would be the end"
        );
        match self.reader.read(&mut self.buffer[self.end..]) {
            Ok(0) => self.at_end = true,
            Ok(count) => self.end += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl<R> fmt::Debug for Multipart<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multipart")
            .field("place", &self.place)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

/// One part of a form: a field, or a file. Reads return its content.
///
/// A read returns 0 only after the boundary behind the content was seen. If the body ends before
/// that, the read fails.
pub struct Part<'a, R> {
    multipart: &'a mut Multipart<R>,
    headers: Headers,
    name: String,
    file_name: Option<String>,
}

impl<R: Read> Part<'_, R> {
    /// The name of the form's field. Browsers send a quote or a line break in it as `%22`, `%0D` or
    /// `%0A`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the file as the client gave it; `None` if the part is no file. Browsers send an
    /// empty name if the user chose no file. A quote or a line break in it comes as in
    /// [`name`](Part::name).
    ///
    /// The client may claim any name; never use it as a path. It may be `../../etc/passwd`,
    /// `C:\con`, or the name of another user's file. Store the file under a name of your own, and
    /// escape this one to show it.
    pub fn file_name(&self) -> Option<&str> {
        self.file_name.as_deref()
    }

    /// The type of the content as the client claims it; nothing has checked it. `None` means
    /// `text/plain` (RFC 7578 §4.4).
    pub fn content_type(&self) -> Option<&str> {
        self.headers.get("Content-Type")
    }

    /// All fields of the part's header section, which has at most 8 KiB.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Reads the rest of the content, at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// Those of reading. And as a [`FormError`], 413 if there is more.
    pub fn content(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let count = self.multipart.next_content()?;
            if count == 0 {
                return Ok(content);
            }
            if count > limit - content.len() {
                return Err(FormError::PartTooLarge.into());
            }
            content.extend_from_slice(&self.multipart.buffered()[..count]);
            self.multipart.consume_content(count);
        }
    }

    /// As [`content`](Part::content), as text: U+FFFD replaces bytes that are not UTF-8.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn text(&mut self, limit: usize) -> io::Result<String> {
        let content = self.content(limit)?;
        Ok(String::from_utf8(content)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }
}

impl<R: Read> Read for Part<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let count = self.multipart.next_content()?.min(buf.len());
        buf[..count].copy_from_slice(&self.multipart.buffered()[..count]);
        self.multipart.consume_content(count);
        Ok(count)
    }
}

impl<R> fmt::Debug for Part<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("name", &self.name)
            .field("file_name", &self.file_name)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
