// The tries of one of Node's clients: `node in_node.mjs CLIENT`. It reads the jobs as JSON from its
// input, and prints a line of JSON for each try.

import http from "node:http";
import { Readable } from "node:stream";
import { json } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import axios from "axios";
import got from "got";
import superagent from "superagent";
import undici from "undici";
import Ws from "ws";
import { within } from "../browser/harness.mjs";
import { byFetch, byWebSocket, payload, told, what } from "./talk.mjs";

const WAIT_MS = 40_000;

// A body that comes slowly.
function stream({ pieces, bytes, pause_ms }) {
  async function* inPieces() {
    for (let n = 0; n < pieces; n += 1) {
      yield Buffer.alloc(bytes, "x");
      await sleep(pause_ms);
    }
  }
  return Readable.from(inPieces(), { objectMode: false });
}

// A job's body in the form that Node's own clients take, and its headers with the body's length.
function sent(job) {
  const { body, headers } = job;
  if (!body) return { headers };
  const length = { "Content-Length": String(body.pieces * body.bytes) };
  const data = body.pause_ms ? stream(body) : Buffer.from(payload(body).buffer);
  return { data, headers: { "Content-Type": "application/octet-stream", ...headers, ...length } };
}

function byHttp(job) {
  return new Promise((resolve, reject) => {
    const { data, headers } = sent(job);
    const options = { method: job.method, headers, timeout: WAIT_MS };
    const request = http.request(job.url, options, (answer) => {
      let body = "";
      answer.setEncoding("latin1");
      answer.on("data", (text) => (body += text));
      answer.on("error", reject);
      answer.on("end", () => {
        resolve({ status: answer.statusCode, headers: answer.headers, body: told(body) });
      });
    });
    request.on("timeout", () => request.destroy(new Error("no answer in time")));
    request.on("error", reject);
    if (data instanceof Readable) data.pipe(request);
    else request.end(data);
    if (job.crlf_after_ms) {
      request.on("finish", () => {
        setTimeout(() => request.socket.write("\r\n"), job.crlf_after_ms);
      });
    }
  });
}

async function byUndici(job) {
  const { data, headers } = sent(job);
  const options = { method: job.method, headers, body: data, headersTimeout: WAIT_MS };
  const answer = await undici.request(job.url, options);
  const body = told(await answer.body.text());
  return { status: answer.statusCode, headers: answer.headers, body };
}

async function byAxios(job) {
  const { data, headers } = sent(job);
  const answer = await axios.request({
    url: job.url,
    method: job.method,
    headers,
    data,
    responseType: "text",
    maxBodyLength: Infinity,
    proxy: false,
    timeout: WAIT_MS,
    validateStatus: () => true,
  });
  return { status: answer.status, headers: { ...answer.headers }, body: told(answer.data) };
}

async function byGot(job) {
  const { data, headers } = sent(job);
  const answer = await got(job.url, {
    method: job.method,
    headers,
    body: data,
    retry: { limit: 0 },
    throwHttpErrors: false,
    timeout: { request: WAIT_MS },
  });
  return { status: answer.statusCode, headers: answer.headers, body: told(answer.body) };
}

async function bySuperagent(job) {
  const { data, headers } = sent(job);
  const request = superagent(job.method, job.url);
  request.set(headers).timeout(WAIT_MS).ok(() => true).buffer(true).parse(superagent.parse.text);
  const answer = await request.send(data);
  return { status: answer.status, headers: answer.headers, body: told(answer.text) };
}

// Invalid frames that `ws` can send, and a browser cannot.
function sendByWs(socket, other) {
  if (other === "bad UTF-8") socket.send(Buffer.from([0xff, 0xfe]), { binary: false });
  if (other === "fragments") {
    for (let n = 0; n < 9; n += 1) socket.send("part", { fin: false });
    socket.send("end", { fin: true });
  }
}

const CLIENTS = {
  fetch: (job) => byFetch(fetch, job, job.body?.pause_ms && Readable.toWeb(stream(job.body))),
  http: byHttp,
  undici: (job) => (job.send ? byWebSocket(undici.WebSocket, job) : byUndici(job)),
  axios: byAxios,
  got: byGot,
  superagent: bySuperagent,
  ws: (job) => byWebSocket(Ws, job, sendByWs),
};

const attempt = CLIENTS[process.argv[2]];

async function tried(job) {
  const outcome = await within(2 * WAIT_MS, attempt(job), "a try").catch(what);
  console.log(JSON.stringify({ case: job.case, got: outcome }));
}

for (const job of await json(process.stdin)) {
  if (job.together) {
    await Promise.all(Array.from({ length: job.tries }, () => tried(job)));
  } else {
    for (let n = 0; n < job.tries; n += 1) await tried(job);
  }
}
// After all output: a pool may hold connections open.
process.stdout.write("", () => process.exit(0));
