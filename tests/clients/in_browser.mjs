// A browser's tries: `node in_browser.mjs chromium|firefox PROGRAM PROFILE`. It reads the jobs as
// JSON from its input, and prints a line of JSON for each try.

import { connect } from "node:net";
import { json } from "node:stream/consumers";
import { WAIT_MS, within } from "../browser/harness.mjs";
import { startBrowser } from "./browsers.mjs";

const [kind, program, profile] = process.argv.slice(2);
const START_MS = 60_000;
// As many connections as main.rs allows on a server with few places.
const FEW_PLACES = 2;

// True if there was a free place, which this connection then holds.
function holds(port) {
  return within(
    WAIT_MS,
    new Promise((resolve, reject) => {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", reject);
      socket.once("data", (data) => resolve(data.toString("latin1").startsWith("HTTP/1.1 200")));
      socket.write("GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }),
    "an answer about a place",
  );
}

// The page's own connection holds a place until it has been idle for long enough.
async function fill(port) {
  for (let held = 0; held < FEW_PLACES; ) if (await holds(port)) held += 1;
}

const browser = await startBrowser(kind, program, profile);
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, async () => {
    await within(5_000, browser.close(), "the browser's end").catch(() => {});
    process.exit(1);
  });
}

// One page for each origin. A page sends requests to its own origin, and opens any WebSocket.
const pages = new Map();

async function pageOf({ page, fill: full }) {
  if (!pages.has(page)) {
    pages.set(page, await browser.open(page));
    if (full) await within(START_MS, fill(Number(new URL(page).port)), "a server without places");
  }
  return pages.get(page);
}

for (const job of await json(process.stdin)) {
  const attempt = await pageOf(job);
  const tried = async () => {
    const got = await attempt(job).catch((error) => ({ error: String(error) }));
    console.log(JSON.stringify({ case: job.case, got }));
  };
  if (job.together) await Promise.all(Array.from({ length: job.tries }, tried));
  else for (let n = 0; n < job.tries; n += 1) await tried();
}
await within(WAIT_MS, browser.close(), "the browser's end");
process.stdout.write("", () => process.exit(0));
