"use strict";
// A proxy that ends TLS and shares a few connections to the server among all its clients, as nginx does.
//
//   node tls-proxy.js <port of the server> <file with key and certificate>

const fs = require("fs");
const http = require("http");
const https = require("https");

const [port, pem] = [process.argv[2], fs.readFileSync(process.argv[3])];
const agent = new http.Agent({ keepAlive: true });

const upstream = (req, agent) =>
  http.request({
    port,
    agent,
    method: req.method,
    path: req.url,
    headers: { ...req.headers, "x-forwarded-for": "192.0.2.33" },
  });

const server = https.createServer({ key: pem, cert: pem }, (req, res) => {
  const up = upstream(req, agent);
  up.on("response", (reply) => {
    const { connection, ...headers } = reply.headers;
    res.writeHead(reply.statusCode, headers);
    reply.pipe(res);
  });
  up.on("error", () => res.destroy());
  res.on("close", () => up.destroy());
  req.pipe(up);
});

server.on("upgrade", (req, socket, head) => {
  const up = upstream(req, false);
  up.on("upgrade", (reply, upSocket, upHead) => {
    const lines = Object.entries(reply.headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join("")}\r\n`);
    socket.write(upHead);
    upSocket.write(head);
    upSocket.pipe(socket).pipe(upSocket);
    for (const one of [socket, upSocket]) one.on("error", () => (socket.destroy(), upSocket.destroy()));
  });
  up.on("response", () => socket.destroy());
  up.on("error", () => socket.destroy());
  up.end();
});

server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
