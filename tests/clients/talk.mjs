// One try with the APIs that browsers and Node share: fetch and WebSocket. The page loads this
// file, and so does in_node.mjs. A try's result is an object, which clients.py judges.

const WAIT_MS = 40_000;
const SHOWN = 64 * 1024;

// In the same form as the other languages' clients: a text, or its length and ends.
export function told(text) {
  if (text.length <= SHOWN) return text;
  return `${text.length}: ${text.slice(0, 32)}...${text.slice(-32)}`;
}

export function payload(body) {
  return body ? new Uint8Array(body.pieces * body.bytes).fill(0x78) : undefined;
}

// `stream`, if given, replaces a body of one piece.
export async function byFetch(fetch, job, stream) {
  const init = { method: job.method, headers: job.headers, cache: "no-store" };
  init.signal = AbortSignal.timeout(WAIT_MS);
  init.body = stream || payload(job.body);
  if (stream) init.duplex = "half";
  const answer = await fetch(job.url, init);
  const body = told(await answer.text());
  return { status: answer.status, headers: Object.fromEntries(answer.headers), body };
}

function sendPart(socket, part) {
  if (part.text !== undefined) {
    socket.send(part.text);
    return;
  }
  const zeros = new Uint8Array(part.zeros);
  for (let n = 0; n < part.count; n += 1) socket.send(zeros);
}

// `sendOther` sends frames that a browser cannot send.
export function byWebSocket(WebSocket, job, sendOther) {
  return new Promise((resolve) => {
    const socket = new WebSocket(job.url);
    const messages = [];
    let extensions;
    const late = setTimeout(() => {
      resolve({ error: `not within ${WAIT_MS} ms`, messages });
      socket.close();
    }, WAIT_MS);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      extensions = socket.extensions;
      for (const part of job.send) {
        if (part.other) sendOther(socket, part.other);
        else sendPart(socket, part);
      }
    };
    socket.onmessage = ({ data }) => {
      messages.push(told(data));
      if (messages.length === job.enough) socket.send("bye");
    };
    // Without this, `ws` ends the process. The close event that follows has all the information.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason, wasClean }) => {
      clearTimeout(late);
      resolve({ messages, code, reason, clean: wasClean, extensions });
    };
  });
}

export function what(error) {
  const cause = error.cause ? ` (${error.cause.code ?? error.cause.message})` : "";
  return { error: `${error.name}: ${error.message}${cause}` };
}
