"use strict";
// Official clients against several processes behind one port (`servers/cluster-fixture.rs`).
//
//   node cluster.js rooms <transport> <address>
//   node cluster.js kill <clients> <address> [<how long they may be away, in ms>]
//
// Prints a line of JSON and ends with status 0 when all went well.

const assert = require("assert");
const { KINDS, sleep, once, connected, until } = require("./official");

/** Everything that the adapter does, between clients of four workers. */
async function rooms(kind, url, binary = true) {
  const clients = [];
  for (let i = 0; i < 8; i++) clients.push(await connected(url, kind));
  const workers = await Promise.all(clients.map((c) => c.emitWithAck("whoami")));
  const per = {};
  for (const { worker } of workers) per[worker] = (per[worker] ?? 0) + 1;
  // Workers report a few times a second, so that one more or less is possible.
  const counts = Object.values(per);
  assert.ok(counts.length === 4 && counts.every((count) => count <= 3), `least-connection spreads evenly: ${JSON.stringify(per)}`);
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

/** One worker is killed: its clients are back within a second, the others notice nothing. */
async function kill(count, url, limit = 1000) {
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
  assert(away < limit, `back after ${away} ms`);
}

const [scenario, ...args] = process.argv.slice(2);
const run = {
  rooms: () => rooms(args[0], args[1]),
  "rooms-of-text": () => rooms(args[0], args[1], false),
  kill: () => kill(Number(args[0]), args[1], args[2] && Number(args[2])),
}[scenario];
run().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
