"use strict";
// What every reference server shares: listening, stopping, and a way to write bytes as JSON.

/** Listens on 127.0.0.1 and says so; port 0 picks a free one. */
function listen(server, port) {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(Number(port), "127.0.0.1", () => {
      console.log(`listening on http://127.0.0.1:${server.address().port}`);
      resolve(server.address().port);
    });
  });
}

/** Ends the process on SIGTERM, after `stop` has run. */
function stopOnSigterm(stop) {
  process.on("SIGTERM", () => {
    stop();
    setTimeout(() => process.exit(0), 50).unref();
  });
}

/** Bytes that are long and known to both ends. */
function filler(length) {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = i * 31 + (i >> 8);
  return bytes;
}

const LONG = 65536; // bytes

/** Bytes as {"$bin": base64}, or {"$fill": length} if they are the known ones. */
function bytesToJson(bytes) {
  if (bytes.length >= LONG && bytes.equals(filler(bytes.length))) return { $fill: bytes.length };
  return { $bin: bytes.toString("base64") };
}

/** A value as JSON; bytes as above. */
function toJson(value) {
  if (value === undefined || value === null) return null;
  if (typeof value === "function") return { $function: true };
  if (value instanceof Error) return { $error: value.message };
  if (value instanceof Date) return value.toISOString();
  if (Buffer.isBuffer(value) || ArrayBuffer.isView(value)) {
    return bytesToJson(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
  }
  if (value instanceof ArrayBuffer) return bytesToJson(Buffer.from(value));
  if (value instanceof Set) return [...value].map(toJson);
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item)]));
  }
  return value;
}

/** The other way round. */
function fromJson(value) {
  if (Array.isArray(value)) return value.map(fromJson);
  if (value !== null && typeof value === "object") {
    if (typeof value.$bin === "string") return Buffer.from(value.$bin, "base64");
    if (typeof value.$fill === "number") return filler(value.$fill);
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromJson(item)]));
  }
  return value;
}

/** What a close event says besides its reason, as plain text. */
function describe(detail) {
  const text = detail?.description?.message ?? detail?.message ?? detail;
  return typeof text === "string" ? text.replace(/^\w*Error: /, "") : text;
}

/** Writes one event of a probe. */
function report(ev, fields) {
  process.stdout.write(JSON.stringify({ ev, ...toJson(fields) }) + "\n");
}

/** Reads commands from stdin, one JSON object per line, and answers each with its number; ends with the test. */
function serveCommands(commands) {
  const lines = require("readline").createInterface({ input: process.stdin });
  lines.on("close", () => process.exit(0));
  lines.on("line", async (line) => {
    const command = JSON.parse(line);
    let answer;
    try {
      const run = commands[command.do];
      if (!run) throw new Error(`unknown command ${command.do}`);
      answer = { re: command.n, value: toJson(await run(command)) };
    } catch (error) {
      answer = { re: command.n, error: error.message };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  });
}

module.exports = { listen, stopOnSigterm, toJson, fromJson, describe, report, serveCommands };
