"use strict";
// Engine.IO alone, revisions 4 and 3: every message is sent back unchanged.
const http = require("http");
const { Server } = require("engine.io");
const { listen, stopOnSigterm } = require("./support");

const server = http.createServer((_req, res) => res.writeHead(404).end());
const engine = new Server({
  pingInterval: 300,
  pingTimeout: 200,
  maxHttpBufferSize: 1e6,
  allowEIO3: true,
  cors: { origin: "*" },
});
engine.attach(server);
engine.on("connection", (socket) => socket.on("message", (data) => socket.send(data)));

stopOnSigterm(() => engine.close());
listen(server, process.env.PORT ?? 3000);
