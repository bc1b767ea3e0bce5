// Pages of the example `presence`, each with its name: `node presence.mjs PLAYWRIGHT CHROMIUM
// PROFILE URL...`. It writes `open`, and for each line on stdin the people that each page shows, as
// JSON.

import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [playwright, executablePath, profile, ...urls] = process.argv.slice(2);
const { chromium } = await import(pathToFileURL(playwright).href);

const context = await chromium.launchPersistentContext(profile, { executablePath, headless: true, args: ["--no-sandbox"] });
const pages = [];
for (const url of urls) {
  const page = await context.newPage();
  await page.goto(url);
  pages.push(page);
}
console.log("open");
for await (const _ of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await Promise.all(pages.map((page) => page.textContent("output")))));
}
await context.close();
