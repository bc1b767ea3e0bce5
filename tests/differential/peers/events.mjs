// Reads streams with an EventSource, of the package eventsource or of undici, and prints for each
// the events: [kind, data, last id].

import { EventSource as OfPackage } from "eventsource";
import { EventSource as OfUndici } from "undici";

const [, , kind, base] = process.argv;
const EventSource = { eventsource: OfPackage, undici: OfUndici }[kind];

async function read(number, kinds) {
  const seen = [];
  const source = new EventSource(`${base}/stream/${number}`);
  await new Promise((resolve) => {
    const take = ({ type, data, lastEventId }) => {
      seen.push([type, data, lastEventId]);
      if (type === "the end") resolve();
    };
    for (const kind of kinds) source.addEventListener(kind, take);
    source.addEventListener("error", resolve);
  });
  source.close();
  return seen;
}

process.on("warning", () => {});
const kinds = await (await fetch(`${base}/notes/kinds`)).json();
for (const [number, of] of kinds.entries()) console.log(JSON.stringify(await read(number, of)));
process.exit(0);
