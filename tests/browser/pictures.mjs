// The pictures of the page in README: `run pictures` writes them into .github/. The page is the
// demo's own, with two people in its room and some clients that keep its numbers moving.

import { createWriteStream, statSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { WAIT_MS, kill, start } from "./harness.mjs";

const { values: args } = parseArgs({
  options: {
    server: { type: "string" },
    chromium: { type: "string" },
    out: { type: "string" },
    to: { type: "string" },
  },
});
const SIZE = { width: 1200, height: 760 };
const MOST_BYTES = 150_000;
const STREAMS = 24;
// The page's plots show the last minute.
const SECONDS = 62;

const log = createWriteStream(path.join(args.out, "pictures.log"));
const said = /akurai-server listening on http:\/\/127\.0\.0\.1:(\d+)\s/;
const server = await start(args.server, ["--addr", "127.0.0.1:0"], "stderr", said, log);
const origin = `http://127.0.0.1:${server.match[1]}`;
const browser = await chromium.launch({ executablePath: args.chromium, args: ["--no-sandbox", "--disable-gpu"] });

async function visitor(name) {
  const page = await (await browser.newContext({ viewport: SIZE })).newPage();
  page.setDefaultTimeout(WAIT_MS);
  await page.goto(origin);
  await page.fill("#chat-name", name);
  await page.press("#chat-name", "Enter");
  await page.locator('#chat-state[data-state="in the room"]').waitFor();
  return page;
}

async function say(page, text) {
  await page.fill("#chat-text", text);
  await page.press("#chat-text", "Enter");
  await page.locator("#chat-log", { hasText: text }).waitFor();
}

const agent = new http.Agent({ keepAlive: true });
const ask = (url) =>
  new Promise((resolve, reject) => {
    http.get(url, { agent }, (answer) => answer.resume().on("end", resolve)).on("error", reject);
  });

try {
  const [ada, grace] = [await visitor("Ada"), await visitor("Grace")];
  const streams = Array.from({ length: STREAMS }, () =>
    http.get(`${origin}/api/stats`, (answer) => answer.resume()).on("error", () => {}),
  );
  await say(ada, "Which thread do I wait on?");
  await say(grace, "None: your event stream is parked.");
  await say(ada, "And when I lose the connection?");
  await say(grace, "You come back with Last-Event-ID, and get what you missed.");
  let step = 0;
  const asking = setInterval(() => {
    step += 1;
    const count = Math.round(8 + 6 * Math.sin(step / 14) + (step % 5));
    for (let n = 0; n < count; n += 1) ask(`${origin}/api/health`).catch(() => {});
  }, 200);
  await ada.waitForTimeout(SECONDS * 1000);
  await ada.evaluate(() => {
    document.activeElement.blur();
    window.scrollTo(0, 0);
  });
  for (const colorScheme of ["light", "dark"]) {
    await ada.emulateMedia({ colorScheme });
    await ada.waitForTimeout(500);
    const file = path.join(args.to, `page-${colorScheme}.png`);
    await ada.screenshot({ path: file, animations: "disabled" });
    const { size } = statSync(file);
    console.log(`${file}: ${size} bytes`);
    if (size > MOST_BYTES) throw new Error(`more than ${MOST_BYTES} bytes`);
  }
  clearInterval(asking);
  for (const stream of streams) stream.destroy();
} finally {
  await browser.close();
  await kill(server);
}
process.exit(0);
