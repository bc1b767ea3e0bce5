// Node's http server, which says as JSON what it understood of a request.

import http from "node:http";

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("error", () => {});
  request.on("end", () => {
    const raw = request.rawHeaders;
    const fields = [];
    for (let at = 0; at < raw.length; at += 2) fields.push([raw[at], raw[at + 1]]);
    const body = Buffer.concat(chunks).toString("latin1");
    response.setHeader("X-Understood", "yes");
    response.setHeader("Content-Type", "application/json");
    const { method, url: target } = request;
    response.end(JSON.stringify({ method, target, fields, body }));
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1");
