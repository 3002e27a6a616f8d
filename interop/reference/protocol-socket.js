"use strict";
// Socket.IO as the language-neutral protocol suites expect it.
const http = require("http");
const { Server } = require("socket.io");
const { listen, stopOnSigterm } = require("./support");

const server = http.createServer((_req, res) => res.writeHead(404).end());
const io = new Server(server, {
  pingInterval: 300,
  pingTimeout: 200,
  maxHttpBufferSize: 1e6,
  connectTimeout: 1000,
  cors: { origin: "*" },
});

io.on("connection", (socket) => {
  socket.emit("auth", socket.handshake.auth);
  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => {
    const ack = args.pop();
    ack(...args);
  });
});
io.of("/custom").on("connection", (socket) => socket.emit("auth", socket.handshake.auth));

stopOnSigterm(() => io.close());
listen(server, process.env.PORT ?? 3000);
