"use strict";
// Official clients receive numbered events while all workers are replaced again and again: none may be lost,
// come twice, or come in another order than the others see.
//
//   node rolls.js <clients> <rolls> <address> <command that reloads>...
//
// PUBLISHERS clients send an event each PAUSE ms, by turns to all clients and to those of a room. Prints a line of JSON and ends with status 0 when all went well.

const assert = require("assert");
const { execFile } = require("child_process");
const { KINDS, sleep, open, connected, until } = require("./official");

const ROOMS = 10;
const PUBLISHERS = Number(process.env.PUBLISHERS ?? 10);
const PAUSE = Number(process.env.PAUSE ?? 100);
/** What a publisher may have on its way. */
const MAX_UNANSWERED = 100;

/** What was sent: the room of each attempt (none for a broadcast), and which attempts were acknowledged. */
const sent = { rooms: [], acknowledged: new Set() };
const stats = { disconnects: 0, recovered: 0, fresh: 0, longest: 0 };
/** How many came back in each tenth of a second. */
const returns = new Map();

async function main(count, times, url, command) {
  const clients = await crowd(count, url);
  const publishers = await Promise.all(Array.from({ length: PUBLISHERS }, () => connected(url, "websocket")));
  // Each has an offset before the first reload, without which there is no recovery.
  await publish(publishers[0], null);
  await until("the first event", () => clients.every((c) => c.got.length > 0));
  let rolling = true;
  const publishing = publishers.map(async (publisher, i) => {
    const sending = new Set();
    for (let n = i; rolling || sending.size > 0; n++) {
      if (rolling && sending.size < MAX_UNANSWERED) {
        const event = publish(publisher, n % 2 ? `room ${n % ROOMS}` : null).then(() => sending.delete(event));
        sending.add(event);
      }
      await sleep(PAUSE);
    }
  });
  const started = Date.now();
  for (let i = 0; i < times; i++) await reload(command);
  const seconds = (Date.now() - started) / 1000;
  rolling = false;
  await Promise.all(publishing);
  await until("clients to come back", () => clients.every((c) => c.connected));
  const last = await publish(publishers[0], null);
  await until("the last event", () => clients.every((c) => c.got.at(-1) === last));
  await sleep(300); // for one that comes twice

  const broadcasts = [...sent.acknowledged].filter((id) => sent.rooms[id] === null).length;
  const result = {
    clients: count,
    rolls: times,
    seconds,
    events: sent.acknowledged.size,
    broadcasts,
    attempts: sent.rooms.length,
    received: clients.reduce((sum, c) => sum + c.got.length, 0),
    different: judge(clients),
    ...stats,
    busiest: Math.max(...returns.values()),
  };
  console.log(JSON.stringify(result));
  assert.strictEqual(result.different, 0, "clients that lost events, got some twice or in another order");
  assert.strictEqual(stats.fresh, 0, "clients that were not recovered");
}

/** Clients of all kinds, a tenth in each room. */
async function crowd(count, url) {
  const clients = [];
  for (let i = 0; i < count; i++) {
    const client = open(url, KINDS[i % KINDS.length]);
    client.got = [];
    client.room = `room ${i % ROOMS}`;
    client.on("n", (id) => client.got.push(id));
    client.on("disconnect", (reason) => {
      client.lost = Date.now();
      stats.disconnects++;
      stats[reason] = (stats[reason] ?? 0) + 1;
    });
    client.on("connect", () => (client.lost ? returned(client) : client.emit("join", client.room, () => (client.joined = true))));
    clients.push(client);
    if (i % 50 === 49) await until("clients to join", () => clients.every((c) => c.joined));
  }
  await until("clients to join", () => clients.every((c) => c.joined));
  return clients;
}

function returned(client) {
  stats.longest = Math.max(stats.longest, Date.now() - client.lost);
  client.recovered ? stats.recovered++ : stats.fresh++;
  const tenth = Math.floor(Date.now() / 100);
  returns.set(tenth, (returns.get(tenth) ?? 0) + 1);
}

/** Sends an event until it is acknowledged: again, under another number, if the connection went with it. */
async function publish(publisher, room) {
  for (;;) {
    const id = sent.rooms.push(room) - 1;
    try {
      const args = room ? ["to", room, "n", id] : ["all", "n", id];
      await publisher.timeout(3000).emitWithAck(...args);
      sent.acknowledged.add(id);
      return id;
    } catch {}
  }
}

function reload(command) {
  return new Promise((resolve, reject) =>
    execFile(command[0], command.slice(1), (error, out, err) => (error ? reject(new Error(`${error.message}${out}${err}`)) : resolve())),
  );
}

/** How many clients got anything else than all events that were for them, once, in the order that all see. */
function judge(clients) {
  // What came to anybody without being acknowledged was for everybody, too.
  const arrived = new Set(sent.acknowledged);
  for (const client of clients) client.got.forEach((id) => arrived.add(id));
  const broadcasts = (client) => client.got.filter((id) => sent.rooms[id] === null);
  const all = JSON.stringify(broadcasts(clients[0]));
  const first = {};
  let different = 0;
  for (const client of clients) {
    const got = new Set(client.got);
    const lost = [...arrived].filter((id) => [null, client.room].includes(sent.rooms[id]) && !got.has(id));
    const foreign = client.got.filter((id) => ![null, client.room].includes(sent.rooms[id]));
    const twice = client.got.length - got.size;
    first[client.room] ??= JSON.stringify(client.got);
    const ordered = JSON.stringify(client.got) === first[client.room] && JSON.stringify(broadcasts(client)) === all;
    if (ordered && twice === 0 && lost.length === 0 && foreign.length === 0) continue;
    if (different++ < 3) console.error("differs", { got: client.got.length, lost: lost.slice(0, 5), twice, foreign: foreign.length, ordered });
  }
  return different;
}

const [count, times, url, ...command] = process.argv.slice(2);
main(Number(count), Number(times), url, command).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
