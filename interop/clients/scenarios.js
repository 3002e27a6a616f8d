"use strict";
// What the official clients do. The server is a probe whose handlers are given in ../tests/clients.rs.

const assert = require("assert");

const VALUES = [null, true, false, 0, -1.5, 9007199254740991, "", "text", [], [[1], "a"], {}, { a: { b: [null] } }];
const TEXTS = ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "😀 𝄞", "\u0000\u001e\u2028", '"\\'];

const bytes = (length) => Buffer.from(Array.from({ length }, (_, i) => i % 251));
const sameBytes = (got, expected) => assert.deepStrictEqual([...new Uint8Array(got.buffer ?? got, got.byteOffset, got.byteLength)], [...expected]);

/** Emits `echo` and returns the arguments that come back. */
async function echo(lab, socket, ...args) {
  const back = lab.once(socket, "echo-back");
  socket.emit("echo", ...args);
  return back;
}

module.exports = {
  async connect(lab) {
    const socket = await lab.connect();
    const [me] = await lab.ask(socket, "whoami");
    assert.strictEqual(me.id, socket.id);
    assert.deepStrictEqual(me.rooms, [socket.id]);
    assert.strictEqual(socket.connected, true);
    assert.strictEqual(me.handshake.query.EIO, lab.version === 2 ? "3" : "4");
  },

  async auth(lab) {
    if (lab.version === 2) {
      const socket = await lab.connect("/ns?token=abc&x=1");
      const [me] = await lab.ask(socket, "whoami");
      assert.deepStrictEqual(me.handshake.auth, { token: "abc", x: "1" });
      const main = await lab.connect("/", { query: { main: "yes" } });
      const [it] = await lab.ask(main, "whoami");
      assert.strictEqual(it.handshake.query.main, "yes");
      return;
    }
    const socket = await lab.connect("/ns", { auth: { token: "abc", deep: { a: [1] } }, query: { main: "yes" } });
    const [me] = await lab.ask(socket, "whoami");
    assert.deepStrictEqual(me.handshake.auth, { token: "abc", deep: { a: [1] } });
    assert.strictEqual(me.handshake.query.main, "yes");
    const lazy = await lab.connect("/ns", { auth: (give) => give({ late: true }) });
    const [late] = await lab.ask(lazy, "whoami");
    assert.deepStrictEqual(late.handshake.auth, { late: true });
  },

  async headers(lab) {
    const extraHeaders = { "x-mine": "yes" };
    const socket = await lab.connect("/", { extraHeaders, transportOptions: { polling: { extraHeaders }, websocket: { extraHeaders } } });
    const [me] = await lab.ask(socket, "whoami");
    assert.strictEqual(me.handshake.headers["x-mine"], "yes");
  },

  async text(lab) {
    const socket = await lab.connect();
    for (const value of VALUES) assert.deepStrictEqual(await echo(lab, socket, value), [value]);
    assert.deepStrictEqual(await echo(lab, socket), []);
    assert.deepStrictEqual(await echo(lab, socket, ...VALUES), VALUES);
  },

  async utf8(lab) {
    const socket = await lab.connect();
    for (const text of TEXTS) assert.deepStrictEqual(await echo(lab, socket, text), [text]);
    assert.deepStrictEqual(await echo(lab, socket, { [TEXTS[0]]: TEXTS }), [{ [TEXTS[0]]: TEXTS }]);
  },

  async binary(lab) {
    const socket = await lab.connect();
    for (const length of [1, 3, 125, 126, 70_000]) {
      const [back] = await echo(lab, socket, bytes(length));
      sameBytes(back, bytes(length));
    }
    const [empty] = await echo(lab, socket, Buffer.alloc(0));
    sameBytes(empty, []);
    const [view] = await echo(lab, socket, Buffer.from([9, 1, 2, 9]).subarray(1, 3));
    sameBytes(view, [1, 2]);
  },

  async nestedBinary(lab) {
    const socket = await lab.connect();
    const [first, second, third] = await echo(lab, socket, "text", { a: [bytes(2), { b: bytes(3) }] }, bytes(4));
    assert.strictEqual(first, "text");
    sameBytes(second.a[0], bytes(2));
    sameBytes(second.a[1].b, bytes(3));
    sameBytes(third, bytes(4));
  },

  async acks(lab) {
    const socket = await lab.connect();
    assert.deepStrictEqual(await lab.ask(socket, "ack"), []);
    assert.deepStrictEqual(await lab.ask(socket, "ack", 1), [1]);
    assert.deepStrictEqual(await lab.ask(socket, "ack", ...VALUES), VALUES);
    const many = await Promise.all(Array.from({ length: 100 }, (_, i) => lab.ask(socket, "ack", i)));
    assert.deepStrictEqual(many, Array.from({ length: 100 }, (_, i) => [i]));
  },

  async questions(lab) {
    const socket = await lab.connect();
    socket.on("question", (a, b, answer) => answer(b, a));
    const answered = lab.once(socket, "ask-answer");
    socket.emit("ask", 1, { x: "y" });
    assert.deepStrictEqual(await answered, [{ x: "y" }, 1]);
  },

  async binaryAcks(lab) {
    const socket = await lab.connect();
    const [back, deep] = await lab.ask(socket, "ack", bytes(3), { a: bytes(2) });
    sameBytes(back, bytes(3));
    sameBytes(deep.a, bytes(2));
    socket.on("question", (given, answer) => answer(given, { again: given }));
    const answered = lab.once(socket, "ask-answer");
    socket.emit("ask", bytes(5));
    const [first, second] = await answered;
    sameBytes(first, bytes(5));
    sameBytes(second.again, bytes(5));
  },

  async ackTimeouts(lab) {
    const socket = await lab.connect();
    const error = await new Promise((resolve) => socket.timeout(50).emit("silent", (error) => resolve(error)));
    assert.strictEqual(error.message, "operation has timed out");
    assert.strictEqual(await socket.timeout(5000).emitWithAck("ack", "x"), "x");
    await assert.rejects(socket.timeout(50).emitWithAck("silent"), /operation has timed out/);
  },

  async namespaces(lab) {
    const main = lab.open("/", { forceNew: false, multiplex: true });
    await lab.once(main, "connect");
    const others = ["/ns", "/other"].map((nsp) => main.io.socket(nsp));
    const joined = others.map((socket) => lab.once(socket, "connect"));
    await Promise.all(joined);
    const ids = new Set();
    for (const [socket, nsp] of [[main, "/"], [others[0], "/ns"], [others[1], "/other"]]) {
      const [me] = await lab.ask(socket, "whoami");
      assert.strictEqual(me.id, socket.id, nsp);
      ids.add(me.id);
      assert.deepStrictEqual(await echo(lab, socket, nsp), [nsp]);
    }
    assert.strictEqual(ids.size, 3);
    others[0].disconnect();
    assert.deepStrictEqual(await echo(lab, others[1], "still"), ["still"]);
    assert.deepStrictEqual(await echo(lab, main, "here"), ["here"]);
  },

  async unknownNamespace(lab) {
    const socket = lab.open("/unknown");
    const event = lab.version === 2 ? "error" : "connect_error";
    const [error] = await lab.once(socket, event);
    assert.strictEqual(error.message, "Invalid namespace");
  },

  async refusals(lab) {
    const socket = lab.open("/refused");
    if (lab.version === 2) {
      const [data] = await lab.once(socket, "error");
      assert.deepStrictEqual(data, { code: 7 });
      return;
    }
    const [error] = await lab.once(socket, "connect_error");
    assert.strictEqual(error.message, "not you");
    assert.deepStrictEqual(error.data, { code: 7 });
    const bare = lab.open("/private", { auth: { token: "wrong" } });
    const [second] = await lab.once(bare, "connect_error");
    assert.strictEqual(second.message, "bad token");
    assert.strictEqual(second.data, undefined);
    await lab.connect("/private", { auth: { token: "secret" } });
  },

  async rooms(lab) {
    const [a, b, c] = [await lab.connect(), await lab.connect(), await lab.connect()];
    const got = [];
    for (const [name, socket] of Object.entries({ a, b, c })) socket.on("said", (text) => got.push(name + text));
    for (const socket of [a, b]) await lab.ask(socket, "join", "room");
    await lab.ask(a, "to", "room", "said", "1");
    await lab.ask(c, "to", "room", "said", "2");
    await lab.ask(a, "in", "room", "said", "3");
    await lab.ask(a, "to", c.id, "said", "4");
    await lab.ask(b, "leave", "room");
    await lab.ask(c, "in", "room", "said", "5");
    for (const socket of [a, b, c]) await lab.ask(socket, "ack");
    while (got.length < 7) await lab.sleep(5);
    assert.deepStrictEqual(got.sort(), ["a2", "a3", "a5", "b1", "b2", "b3", "c4"]);
  },

  async leaving(lab) {
    const socket = await lab.connect();
    const gone = lab.once(socket, "disconnect");
    socket.disconnect();
    assert.strictEqual((await gone)[0], "io client disconnect");
  },

  async beingKicked(lab) {
    for (const event of ["kick", "kick-all"]) {
      const socket = await lab.connect();
      const gone = lab.once(socket, "disconnect");
      socket.emit(event);
      assert.strictEqual((await gone)[0], "io server disconnect");
    }
  },

  async reconnecting(lab) {
    const socket = await lab.connect("/", { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50 });
    const before = socket.id;
    const [gone, back] = [lab.once(socket, "disconnect"), new Promise((resolve) => socket.once("disconnect", () => socket.once("connect", resolve)))];
    socket.emit("drop");
    assert.strictEqual((await gone)[0], "transport close");
    await back;
    assert.notStrictEqual(socket.id, before);
    assert.deepStrictEqual(await lab.ask(socket, "ack", "again"), ["again"]);
  },

  async kickedAndBack(lab) {
    const socket = await lab.connect();
    const gone = lab.once(socket, "disconnect");
    socket.emit("kick");
    await gone;
    // Older clients are still closing their connection now.
    await lab.sleep(100);
    const back = lab.once(socket, "connect");
    socket.connect();
    await back;
    assert.deepStrictEqual(await lab.ask(socket, "ack", "again"), ["again"]);
  },

  async recovery(lab) {
    const socket = await lab.connect("/", { reconnection: true, reconnectionDelay: 100, reconnectionDelayMax: 200 });
    const other = await lab.connect();
    assert.strictEqual(socket.recovered, false);
    await lab.ask(socket, "join", "room");
    await lab.ask(socket, "set-data", { user: "me" });
    await echo(lab, socket, "an event, so that there is an offset");
    const before = socket.id;
    const news = [];
    socket.on("news", (...args) => news.push(args[0]));
    const back = new Promise((resolve) => socket.once("disconnect", () => socket.once("connect", resolve)));
    const gone = lab.once(socket, "disconnect");
    socket.emit("drop");
    await gone;
    for (let i = 0; i < 5; i++) await lab.ask(other, "to", "room", "news", i);
    await back;
    assert.strictEqual(socket.recovered, true);
    assert.strictEqual(socket.id, before);
    const [me] = await lab.ask(socket, "whoami");
    assert.strictEqual(me.recovered, true);
    assert.deepStrictEqual(me.data, { user: "me" });
    assert(me.rooms.includes("room"));
    await lab.ask(other, "to", "room", "news", 5);
    while (news.length < 6) await lab.sleep(5);
    assert.deepStrictEqual(news, [0, 1, 2, 3, 4, 5]);
  },

  async volatile(lab) {
    const socket = await lab.connect();
    const got = [];
    socket.on("v", (value) => got.push(value));
    // A volatile event may be dropped at any instant; when nothing else happens it arrives at last.
    for (let i = 0; got.length === 0; i++) {
      await lab.sleep(30);
      socket.emit("volatile", "v", i);
    }
    socket.volatile?.emit("count-free", 1);
    assert.deepStrictEqual(await lab.ask(socket, "ack", "alive"), ["alive"]);
  },

  async largePayloads(lab) {
    const socket = await lab.connect();
    const text = "é".repeat(250_000);
    assert.strictEqual((await echo(lab, socket, text))[0], text);
    const [back] = await echo(lab, socket, bytes(500_000));
    assert.strictEqual(Buffer.compare(Buffer.from(back), bytes(500_000)), 0);
  },

  async order(lab) {
    const socket = await lab.connect();
    const [base] = await lab.ask(socket, "counted");
    const TOTAL = 20_000;
    for (let i = 0; i < TOTAL; i++) socket.emit("count", base + i);
    const [seen, inversions] = await lab.ask(socket, "count", base + TOTAL);
    assert.deepStrictEqual([seen, inversions], [base + TOTAL + 1, 0]);
  },

  async orderThroughTheUpgrade(lab) {
    const socket = lab.open();
    await lab.once(socket, "connect");
    const [base] = await lab.ask(socket, "counted");
    let sent = 0;
    const until = Date.now() + 400;
    while (Date.now() < until) {
      for (let i = 0; i < 10; i++) socket.emit("count", base + sent++);
      await lab.sleep(1);
    }
    const [seen, inversions] = await lab.ask(socket, "count", base + sent);
    assert.deepStrictEqual([seen, inversions], [base + sent + 1, 0]);
    if (lab.transport === "upgrade") await lab.upgraded(socket);
  },

  async rightAfterConnect(lab) {
    for (let i = 0; i < 300; i++) {
      const socket = lab.open();
      const answered = new Promise((resolve) => {
        socket.once("connect", () => socket.emit("ack", i, (...answer) => resolve(answer)));
      });
      const late = new Promise((resolve) => setTimeout(resolve, 5000, "lost"));
      assert.deepStrictEqual(await Promise.race([answered, late]), [i]);
      socket.close();
    }
  },

  async bufferedBeforeConnect(lab) {
    const socket = lab.open();
    const answers = [0, 1, 2].map((i) => lab.ask(socket, "ack", i));
    assert.deepStrictEqual(await Promise.all(answers), [[0], [1], [2]]);
  },

  async manyEmits(lab) {
    const socket = await lab.connect();
    const got = [];
    socket.on("n", (i) => got.push(i));
    assert.deepStrictEqual(await lab.ask(socket, "many", 1000), [1000]);
    while (got.length < 1000) await lab.sleep(5);
    assert.deepStrictEqual(got, Array.from({ length: 1000 }, (_, i) => i));
  },

  async heartbeats(lab) {
    const socket = await lab.connect();
    let gone;
    socket.on("disconnect", (reason) => (gone = reason));
    await lab.sleep(1200);
    assert.strictEqual(gone, undefined);
    assert.deepStrictEqual(await lab.ask(socket, "ack", "alive"), ["alive"]);
  },
};
