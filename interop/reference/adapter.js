"use strict";
// The official adapters, by the option `adapter` of a probe:
//
//   {"kind": "classic" | "sharded" | "streams", "redis": {…}, "options": {…}}
//
// where `redis` is {"url"}, {"cluster": [url]} or {"sentinels": [address], "name"}, and `options` are those of
// the adapter under the names of the reference.
const redis = require("redis");
const Ioredis = require("ioredis").Redis;
const classic = require("@socket.io/redis-adapter");
const streams = require("@socket.io/redis-streams-adapter");

/** How soon a lost connection is tried again, so that tests of outages measure the adapter. */
const RETRY = 100; // milliseconds

async function create({ kind, redis, options = {} }) {
  const client = await connect(redis);
  if (kind === "streams") return streams.createAdapter(client, options);
  const subscriber = await twin(client);
  if (kind === "sharded") return classic.createShardedAdapter(client, subscriber, options);
  return classic.createAdapter(client, subscriber, options);
}

/** A connection to what the tests have started: node-redis, or ioredis where sentinels stand between. */
async function connect({ url, cluster, sentinels, name }) {
  const socket = { reconnectStrategy: () => RETRY };
  if (sentinels) return quiet(new Ioredis({ sentinels: sentinels.map(address), name, retryStrategy: () => RETRY, sentinelRetryStrategy: () => RETRY }));
  if (cluster) return opened(redis.createCluster({ rootNodes: cluster.map((url) => ({ url })), defaults: { socket } }));
  return opened(redis.createClient({ url, socket }));
}

function address(text) {
  const [host, port] = text.split(":");
  return { host, port: Number(port) };
}

async function twin(client) {
  const other = client.duplicate();
  return client instanceof Ioredis ? quiet(other) : opened(other);
}

async function opened(client) {
  await quiet(client).connect();
  return client;
}

function quiet(client) {
  client.on("error", (error) => console.error(`redis: ${error.message}`));
  return client;
}

// The adapters do not wait for what they publish; while Redis is away that must not end the process.
process.on("unhandledRejection", (error) => console.error(`unhandled: ${error?.message ?? error}`));

module.exports = { create, connect };
