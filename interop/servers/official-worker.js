"use strict";
// An official worker, as the documentation of the reference has it: adapter, sticky package, no listen().

const { createServer } = require("http");
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/cluster-adapter");
const { setupWorker } = require("@socket.io/sticky");

if (process.env.CLUSTER?.includes("garble-node")) {
  // No JSON, JSON that is cut, and messages of the adapter that lack what they must have.
  require("fs").writeSync(0, 'nonsense\n{"a":\n[]\n{"source":"_sio_adapter"}\n{"source":"_sio_adapter","type":3,"nsp":"/","data":7}\n');
}

const httpServer = createServer();
const io = new Server(httpServer);
io.adapter(createAdapter());
setupWorker(io);

const number = require("cluster").worker.id;
io.on("connection", (socket) => {
  socket.on("whoami", (done) => done({ worker: number, pid: process.pid, address: socket.handshake.address }));
  socket.on("join", (room, done) => (socket.join(room), done?.()));
  socket.on("to", (room, event, data) => io.to(room).emit(event, data));
  socket.on("all", (event, data, done) => (io.emit(event, data), done?.()));
  socket.on("binary", (room, bytes) => io.to(room).emit("binary", bytes));
  socket.on("fetch", async (done) => done((await io.fetchSockets()).map((s) => s.id)));
  socket.on("servers", async (done) => done(await io.of("/").adapter.serverCount()));
  socket.on("ask", async (room, done) => {
    const replies = await io.to(room).timeout(5000).emitWithAck("question");
    done(replies.map((r) => (r.bytes[0] === r.i && r.bytes.length === 1 ? r.i : null)));
  });
  socket.on("numbers", async (done) => done(await io.serverSideEmitWithAck("number")));
  socket.on("all-join", (from, to, done) => (io.in(from).socketsJoin(to), done?.()));
  socket.on("all-leave", (from, to, done) => (io.in(from).socketsLeave(to), done?.()));
  socket.on("hang", (millis) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis));
  socket.on("all-disconnect", (room) => io.in(room).disconnectSockets(true));
});
io.on("number", (done) => done(number));

// The worker is to be replaced: its clients are let go of one by one, and connect to the others.
process.on("SIGTERM", async () => {
  const clients = Object.values(io.engine.clients);
  for (const client of clients) {
    client.close();
    await new Promise((resolve) => setTimeout(resolve, 1000 / clients.length));
  }
  io.close(() => process.exit(0));
});
