"use strict";
// Official clients against several processes behind one port (`servers/cluster-fixture.rs`).
//
//   node cluster.js rooms <transport> <address>
//   node cluster.js kill <clients> <address>
//   node cluster.js rolls <clients> <rolls> <address> <command that reloads>...
//
// Prints a line of JSON and ends with status 0 when all went well.

const assert = require("assert");
const { execFile } = require("child_process");
const { io } = require("socket.io-client");

const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };
const KINDS = Object.keys(TRANSPORTS);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const once = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));

function open(url, kind, options = {}) {
  return io(url, { transports: TRANSPORTS[kind], forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 1000, ...options });
}

async function connected(url, kind, options) {
  const socket = open(url, kind, options);
  if (!socket.connected) await once(socket, "connect");
  return socket;
}

async function until(what, condition) {
  const limit = Date.now() + 20_000;
  while (!(await condition())) {
    assert(Date.now() < limit, `waited in vain for ${what}`);
    await sleep(20);
  }
}

/** Everything that the adapter does, between clients of four workers. */
async function rooms(kind, url, binary = true) {
  const clients = [];
  for (let i = 0; i < 8; i++) clients.push(await connected(url, kind));
  const workers = await Promise.all(clients.map((c) => c.emitWithAck("whoami")));
  const per = {};
  for (const { worker } of workers) per[worker] = (per[worker] ?? 0) + 1;
  assert.deepStrictEqual(per, { 1: 2, 2: 2, 3: 2, 4: 2 }, "least-connection spreads evenly");
  if (kind === "upgrade") await until("upgrades", () => clients.every((c) => c.io.engine.transport.name === "websocket"));
  const [sender, ...others] = clients;
  await until("the servers to know each other", async () => (await sender.emitWithAck("servers")) === 4);

  // Rooms across workers, and only them.
  const members = others.slice(0, 5);
  for (const client of members) await client.emitWithAck("join", "room");
  const got = members.map((c) => once(c, "hello"));
  others[6].once("hello", () => assert.fail("not in the room"));
  sender.emit("to", "room", "hello", { text: "häß" });
  for (const [value] of await Promise.all(got)) assert.deepStrictEqual(value, { text: "häß" });

  // Bytes.
  if (binary) {
    const bytes = members.map((c) => once(c, "binary"));
    sender.emit("binary", "room", Buffer.from([0, 1, 255]));
    for (const [value] of await Promise.all(bytes)) assert.deepStrictEqual([...value], [0, 1, 255]);
  }

  // Acknowledgements.
  members.forEach((c, i) => c.on("question", (...args) => args.at(-1)({ i, bytes: Buffer.from([i]) })));
  if (binary) {
    const replies = await sender.emitWithAck("ask", "room");
    assert(Array.isArray(replies), JSON.stringify(replies));
    assert.deepStrictEqual(replies.sort(), [0, 1, 2, 3, 4], JSON.stringify(replies));
  }

  // fetchSockets, serverSideEmit, joins, leaves, disconnects.
  const ids = await sender.emitWithAck("fetch");
  assert.deepStrictEqual([...ids].sort(), clients.map((c) => c.id).sort());
  const numbers = await sender.emitWithAck("numbers");
  assert.deepStrictEqual([...numbers, workers[0].worker].sort(), [1, 2, 3, 4]);
  await sender.emitWithAck("all-join", "room", "second");
  const second = members.map((c) => once(c, "second"));
  sender.emit("to", "second", "second", 1);
  await Promise.all(second);
  await sender.emitWithAck("all-leave", "second", "room");
  members.forEach((c) => c.once("gone", () => assert.fail("has left the room")));
  sender.emit("to", "room", "gone", 1);
  const kicked = members.map((c) => once(c, "disconnect"));
  sender.emit("all-disconnect", "second");
  await Promise.all(kicked);
  for (const client of clients) client.close();
}

/** Numbered events while all workers are replaced again and again: none lost, none twice, in one order. */
async function rolls(count, times, url, command) {
  const clients = [];
  const stats = { disconnects: 0, recovered: 0, fresh: 0, longest: 0 };
  for (let i = 0; i < count; i++) {
    const client = open(url, KINDS[i % 3]);
    client.got = [];
    client.pids = new Set();
    client.on("n", (id) => client.got.push(id));
    client.on("disconnect", (reason) => {
      client.lost = Date.now();
      stats.disconnects++;
      stats[reason] = (stats[reason] ?? 0) + 1;
    });
    client.on("connect", () => {
      if (client.lost) {
        stats.longest = Math.max(stats.longest, Date.now() - client.lost);
        client.recovered ? stats.recovered++ : stats.fresh++;
      }
    });
    clients.push(client);
    if (i % 50 === 49) await until("clients to connect", () => clients.every((c) => c.connected));
  }
  await until("clients to connect", () => clients.every((c) => c.connected));
  // Each has an offset before the first reload, without which there is no recovery.
  const publisher = await connected(url, "websocket");
  let number = 0;
  let attempts = 0;
  const publish = async () => {
    number++;
    for (;;) {
      const id = `${number}.${attempts++}`;
      try {
        await publisher.timeout(3000).emitWithAck("all", "n", id);
        return;
      } catch {} // the connection went with the event or its answer: once more, under another id
    }
  };
  await publish();
  await until("the first event", () => clients.every((c) => c.got.length > 0));
  let rolling = true;
  const publishing = (async () => {
    while (rolling) {
      await publish();
      await sleep(Number(process.env.PAUSE ?? 20));
    }
  })();
  const started = Date.now();
  for (let i = 0; i < times; i++) {
    await new Promise((resolve, reject) =>
      execFile(command[0], command.slice(1), (error, out, err) => (error ? reject(new Error(`${error.message}${out}${err}`)) : resolve())),
    );
  }
  const seconds = (Date.now() - started) / 1000;
  rolling = false;
  await publishing;
  await until("clients to come back", () => clients.every((c) => c.connected));
  await publish();
  const last = `${number}.`;
  await until("the last event", () => clients.every((c) => c.got.some((id) => id.startsWith(last))));
  await sleep(300); // for one that comes twice

  const expected = clients.reduce((most, c) => (c.got.length > most.got.length ? c : most)).got;
  assert.strictEqual(new Set(expected).size, expected.length, "an event came twice");
  const seen = new Set(expected.map((id) => Number(id.split(".")[0])));
  for (let n = 1; n <= number; n++) assert(seen.has(n), `event ${n} is lost`);
  let different = 0;
  for (const client of clients) {
    if (JSON.stringify(client.got) === JSON.stringify(expected)) continue;
    if (different++ < 3) console.error("differs", difference(client.got, expected));
  }
  const result = { clients: count, rolls: times, seconds, events: number, attempts, different, ...stats };
  console.log(JSON.stringify(result));
  assert.strictEqual(different, 0, "clients that lost events, got some twice or in another order");
  assert.strictEqual(stats.fresh, 0, "clients that were not recovered");
}

/** One worker is killed: its clients are back within a second, the others notice nothing. */
async function kill(count, url) {
  const clients = [];
  for (let i = 0; i < count; i++) {
    const client = await connected(url, KINDS[i % 3]);
    Object.assign(client, await client.emitWithAck("whoami"));
    client.got = [];
    client.losses = 0;
    client.on("n", (n) => client.got.push(n));
    client.on("disconnect", () => {
      client.losses++;
      client.lost = Date.now();
    });
    client.on("connect", () => (client.away = Date.now() - client.lost));
    clients.push(client);
  }
  const victim = clients[0].worker;
  const others = clients.filter((c) => c.worker !== victim);
  const own = clients.filter((c) => c.worker === victim);
  const publisher = others[0];
  let number = 0;
  let dead = false;
  const publishing = (async () => {
    while (!dead || number < 100) {
      await publisher.timeout(5000).emitWithAck("all", "n", ++number);
      await sleep(5);
    }
  })();
  await sleep(100);
  process.kill(clients[0].pid, "SIGKILL");
  await until("the clients of the dead worker to come back", () => own.every((c) => c.losses > 0 && c.connected));
  dead = true;
  await publishing;
  await until("all events", () => others.every((c) => c.got.at(-1) === number));
  for (const client of others) {
    assert.strictEqual(client.losses, 0, "a client of another worker was disturbed");
    assert.deepStrictEqual(client.got, Array.from({ length: number }, (_, i) => i + 1));
  }
  const away = Math.max(...own.map((c) => c.away));
  console.log(JSON.stringify({ clients: count, killed: own.length, away }));
  assert(away < 1000, `back after ${away} ms`);
}

function difference(got, expected) {
  const twice = got.filter((id, i) => got.indexOf(id) !== i);
  const lost = expected.filter((id) => !got.includes(id));
  return { length: got.length, expected: expected.length, lost: lost.slice(0, 5), lostCount: lost.length, twice: twice.slice(0, 5) };
}

const [scenario, ...args] = process.argv.slice(2);
const run = {
  rooms: () => rooms(args[0], args[1]),
  "rooms-of-text": () => rooms(args[0], args[1], false),
  kill: () => kill(Number(args[0]), args[1]),
  rolls: () => rolls(Number(args[0]), Number(args[1]), args[2], args.slice(3)),
}[scenario];
run().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
