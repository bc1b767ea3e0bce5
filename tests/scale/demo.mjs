// The demo's page at two servers that share an engine: `node demo.mjs PLAYWRIGHT CHROMIUM PROFILE
// URL URL`. It prints the observed results as JSON.

import { pathToFileURL } from "node:url";

const [playwright, executablePath, profile, ...urls] = process.argv.slice(2);
const { chromium } = await import(pathToFileURL(playwright).href);

const context = await chromium.launchPersistentContext(profile, { executablePath, headless: true, args: ["--no-sandbox"] });
const wait = { timeout: 20_000 };
const pages = [];
for (const url of urls) {
  const page = await context.newPage();
  await page.goto(url);
  pages.push(page);
}
const [here, there] = pages;
await here.fill("#chat-name", "Ada");
await here.click("#chat-toggle");
await here.waitForSelector("#chat-talk:not([disabled])", wait);
await here.fill("#chat-text", "hello from the other server");
await here.click("#chat-send");
await there.waitForSelector("#chat-log >> text=hello from the other server", wait);
const said = [];
for (const page of pages) {
  // One person in the room here, and two followers, one at each server.
  await page.waitForSelector('#chat-people[data-in-room="1"][data-following="2"]', wait);
  await page.waitForFunction(() => document.querySelector("#server-title").textContent.includes("2 servers"), null, wait);
  // The room's WebSocket and two streams: the numbers count both servers.
  await page.waitForFunction(() => document.querySelector('[data-key="subscribers"] .value').textContent === "3", null, wait);
  said.push(await page.textContent("#server-title"));
}
console.log(JSON.stringify(said));
await context.close();
