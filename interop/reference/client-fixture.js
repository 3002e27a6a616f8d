"use strict";
// The two servers that the official clients' own suites expect.
const http = require("http");
const { Server } = require("socket.io");
const engineIo = require("engine.io");
const { listen, stopOnSigterm } = require("./support");

const TEXTS = ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"];
const isBytes = (value) => Buffer.isBuffer(value);

function socketServer() {
  const server = http.createServer((_req, res) => res.writeHead(404).end());
  const io = new Server(server, {
    pingInterval: 2000,
    connectionStateRecovery: {},
    allowRequest: (_req, callback) => setTimeout(() => callback(null, true), 10),
  });

  io.use((socket, next) => {
    if (socket.request._query.fail) return next(new Error("Auth failed (main namespace)"));
    next();
  });
  io.of("/foo").on("connection", (socket) => socket.on("getId", (ack) => ack(socket.id)));
  io.of("/timeout_socket");
  io.of("/valid");
  io.of("/asd");
  io.of("/abc").on("connection", (socket) => socket.emit("handshake", socket.handshake));
  io.of("/no").use((_socket, next) => next(new Error("Auth failed (custom namespace)")));

  io.on("connection", (socket) => {
    socket.on("hi", () => socket.emit("hi"));
    socket.on("echo", (value, ack) => ack(value));
    socket.on("ack", () => {
      socket.emit("ack", (a, b) => {
        if (a === 5 && b.test === true) socket.emit("got it");
      });
    });
    socket.on("getAckDate", (...args) => args.pop()(new Date()));
    socket.on("getDate", () => socket.emit("takeDate", new Date()));
    socket.on("getDateObj", () => socket.emit("takeDateObj", { date: new Date() }));
    socket.on("getUtf8", () => TEXTS.forEach((text) => socket.emit("takeUtf8", text)));
    socket.on("false", () => socket.emit("false", false));
    socket.on("doge", () => socket.emit("doge", Buffer.from("asdfasdf")));
    socket.on("buffa", (bytes) => {
      if (isBytes(bytes)) socket.emit("buffack");
    });
    socket.on("jsonbuff", (value) => {
      if (value.hello === "lol" && isBytes(value.message) && value.goodbye === "gotcha") {
        socket.emit("jsonbuff-ack");
      }
    });
    let first = false;
    socket.on("abuff1", (bytes) => (first = isBytes(bytes)));
    socket.on("abuff2", () => first && socket.emit("abuff2-ack"));
    socket.on("blob", (bytes) => isBytes(bytes) && socket.emit("back"));
    socket.on("jsonblob", (value) => {
      if (value.hello === "lol" && isBytes(value.message) && value.goodbye === "gotcha") {
        socket.emit("jsonblob-ack");
      }
    });
    let blobs = 0;
    socket.on("blob1", (bytes) => (blobs = isBytes(bytes) ? 1 : 0));
    socket.on("blob2", (text) => (blobs = blobs === 1 && text === "second" ? 2 : 0));
    socket.on("blob3", (bytes) => blobs === 2 && isBytes(bytes) && socket.emit("blob3-ack"));
    socket.on("getbin", () => socket.emit("takebin", Buffer.from("asdfasdf")));
    socket.on("getHandshake", (ack) => ack(socket.handshake));
    socket.on("getId", (ack) => ack(socket.id));
  });
  return { server, io };
}

function engineServer() {
  const server = http.createServer((_req, res) => res.writeHead(404).end());
  const engine = new engineIo.Server({
    pingInterval: 500,
    maxHttpBufferSize: 100,
    allowRequest: (req, callback) => callback(null, !req._query.deny),
  });
  engine.attach(server);
  engine.on("initial_headers", (headers) => {
    headers["set-cookie"] = [
      "1=1; Max-Age=86400",
      "2=2; Path=/; HttpOnly; Secure; SameSite=Strict",
      "3=3; Max-Age=0",
      `4=4; Expires=${new Date().toUTCString()}`,
    ];
  });
  engine.on("connection", (socket) => {
    socket.send("hi");
    socket.on("message", (data) => {
      if (data === "give binary") return socket.send(Buffer.from([0, 1, 2, 3, 4]));
      if (data === "give utf8") return socket.send("пойду спать всем спокойной ночи");
      if (data === "sendHeaders") {
        return socket.send(JSON.stringify((socket.transport.dataReq ?? socket.request).headers));
      }
      socket.send(data);
    });
  });
  return { server, engine };
}

(async () => {
  const { server, io } = socketServer();
  const other = engineServer();
  stopOnSigterm(() => {
    io.close();
    other.engine.close();
    other.server.close();
  });
  await listen(server, process.env.PORT ?? 3210);
  await listen(other.server, process.env.ENGINE_PORT ?? 3001);
})();
