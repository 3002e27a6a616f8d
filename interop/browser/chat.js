"use strict";
// Two people in two browser tabs use the page of the chat example.
//
//   node chat.js <address of the chat> [folder for screenshots]
//
// OTHER_CHAT is the address for the second person, if that is another server of the same cluster.
//
// Prints one line per thing seen; ends with status 0 when all of them were, and with the reason otherwise.

const assert = require("assert");
const path = require("path");
const { chromium } = require("playwright-core");

const [url, shots] = process.argv.slice(2);
const PATIENCE = 15000; // milliseconds for anything to show
const FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const MARKUP = `<img src=x onerror="document.title='owned'"><b>bold?</b>`;

async function main() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
  try {
    const context = await browser.newContext({ viewport: { width: 1180, height: 720 }, colorScheme: "light", locale: "en-GB" });
    const problems = [];
    const tab = async (address) => {
      const page = await context.newPage();
      page.setDefaultTimeout(PATIENCE);
      page.on("pageerror", (error) => problems.push(String(error)));
      // A client that says goodbye by polling (a POST of "1") may have sent its next GET at the same moment. If the
      // goodbye overtakes it, the session is gone: that 400 is as it should be.
      const goodbyes = new Set();
      page.on("request", (request) => request.postData() === "1" && goodbyes.add(sessionOf(request.url())));
      page.on("console", (message) => {
        if (message.type() === "error" && !goodbyes.has(sessionOf(message.location().url))) problems.push(message.text());
      });
      await page.goto(address);
      return page;
    };
    const [ana, ben] = [await tab(url), await tab(process.env.OTHER_CHAT ?? url)];

    await aNameIsNeeded(ana);
    await bothEnter(ana, ben);
    await theyTalk(ana, ben);
    await typingShows(ana, ben);
    await markupStaysText(ana, ben);
    await roomsAreApart(ana, ben);
    await missedMessagesComeBack(ana, ben);
    await awayForGood(ana, ben);
    await otherLooks(ben);
    assert.deepStrictEqual(problems, [], "no error in the console");
  } finally {
    await browser.close();
  }
}

function sessionOf(address) {
  return URL.canParse(address) ? new URL(address).searchParams.get("sid") ?? address : address;
}

async function aNameIsNeeded(page) {
  await shot(page, "door");
  await page.fill("#name", "   ");
  await page.press("#name", "Enter");
  await until(page, "#door-error", "A name has 1 to 24 characters.");
  seen("a blank name is refused, and the page says why");
}

async function bothEnter(ana, ben) {
  await enter(ana, "Ana");
  await enter(ben, "Ben");
  for (const page of [ana, ben]) {
    await until(page, "#status", "connected · websocket");
    await until(page, "#users", { has: ["Ana", "Ben"] });
    assert.strictEqual(await page.textContent("#room"), "lobby");
  }
  seen("both are in the lobby, over WebSocket, and see each other");
}

async function theyTalk(ana, ben) {
  await say(ana, "Hello, is anybody here?");
  await say(ben, "Sí, claro. ¿Qué tal? ☀");
  await say(ben, "The room is ours.");
  for (const page of [ana, ben]) {
    assert.deepStrictEqual(await messages(page, 3), ["Hello, is anybody here?", "Sí, claro. ¿Qué tal? ☀", "The room is ours."]);
  }
  assert.match(await ben.textContent("#messages .message:not(.again) time"), /^\d\d:\d\d/);
  seen("messages arrive on both sides, in one order, with name and time");
}

async function typingShows(ana, ben) {
  await ana.focus("#input");
  await ana.keyboard.type("I am still thi");
  await until(ben, "#typing", "Ana is typing…");
  await shot(ben, "talk");
  assert.strictEqual(await ana.textContent("#typing"), "", "nobody is told about themselves");
  await ana.keyboard.type("nking");
  await ana.keyboard.press("Enter");
  await messages(ben, 4);
  await until(ben, "#typing", "");
  seen("who types is shown until they have said it");
}

async function markupStaysText(ana, ben) {
  await say(ana, MARKUP);
  assert.strictEqual((await messages(ben, 5))[4], MARKUP);
  assert.strictEqual(await ben.locator("#messages img, #messages b").count(), 0);
  assert.notStrictEqual(await ben.title(), "owned");
  seen("markup stays text");
}

async function roomsAreApart(ana, ben) {
  await ana.fill("#room-name", "garden");
  await ana.press("#room-name", "Enter");
  await until(ana, "#room", "garden");
  await until(ben, "#users", { not: ["Ana"] });
  await until(ben, `#rooms [data-room="garden"] .count`, "1");
  await say(ana, "Only the plants hear me.");
  await say(ben, "Ana?");
  await messages(ben, 6);
  assert.deepStrictEqual(await messages(ana, 1), ["Only the plants hear me."]);
  await ben.click(`#rooms [data-room="garden"]`);
  await until(ben, "#room", "garden");
  await until(ana, "#users", { has: ["Ben"] });
  seen("rooms can be created, listed and joined, and do not hear each other");
}

async function missedMessagesComeBack(ana, ben) {
  await say(ana, "Watch me lose the connection.");
  await messages(ben, 1);
  const before = await socketId(ana);
  await ana.click("#drop");
  await until(ana, "#status", "away, for 20 s at most");
  await until(ben, "#users", { not: ["Ana"] });
  await say(ben, "Ana, you went quiet.");
  await say(ben, "Tell me when you can read this.");
  await shot(ana, "away");
  assert.strictEqual((await messages(ana, 2)).length, 2, "nothing can arrive without a connection");
  await ana.click("#drop");
  await until(ana, "#status", "recovered · 2 missed messages");
  const all = await messages(ana, 4);
  assert.deepStrictEqual(all.slice(2), ["Ana, you went quiet.", "Tell me when you can read this."]);
  assert.strictEqual(await ana.locator("#messages .missed").count(), 2);
  assert.strictEqual(await socketId(ana), before, "a recovered socket keeps its id");
  await until(ben, "#users", { has: ["Ana"] });
  await say(ana, "I can. Not one word is lost.");
  await messages(ben, 4);
  await shot(ana, "recovered");
  seen("after a dropped connection the missed messages come, on the same socket id");
}

async function awayForGood(ana, ben) {
  await ana.close();
  await until(ben, "#users", { not: ["Ana"] });
  await until(ben, "#count", "1");
  seen("who closes the tab is gone from the list");
}

async function otherLooks(page) {
  await page.click("#theme");
  await shot(page, "dark");
  await page.setViewportSize({ width: 400, height: 720 });
  await shot(page, "narrow");
}

// --- small steps -------------------------------------------------------------------------------------------------

async function enter(page, name) {
  await page.fill("#name", name);
  await page.press("#name", "Enter");
  await page.waitForSelector("#chat:not([hidden])");
}

async function say(page, text) {
  await page.fill("#input", text);
  await page.press("#input", "Enter");
  await page.waitForFunction((text) => [...document.querySelectorAll("#messages .mine .text")].some((item) => item.textContent === text), text);
}

/** The texts of all messages, once there are at least `count` of them. */
async function messages(page, count) {
  await page.waitForFunction((count) => document.querySelectorAll("#messages .text").length >= count, count);
  return page.locator("#messages .text").allTextContents();
}

/** Waits until the text of an element is `wanted`: a text, or {has: [texts], not: [texts]}. */
async function until(page, selector, wanted) {
  const isSo = ([selector, wanted]) => {
    const text = document.querySelector(selector)?.textContent;
    if (text === undefined || typeof wanted === "string") return text === wanted;
    return (wanted.has ?? []).every((part) => text.includes(part)) && !(wanted.not ?? []).some((part) => text.includes(part));
  };
  try {
    await page.waitForFunction(isSo, [selector, wanted]);
  } catch (error) {
    const text = await page.textContent(selector).catch(() => "missing");
    throw new Error(`${selector} must be ${JSON.stringify(wanted)}, but is ${JSON.stringify(text)}`, { cause: error });
  }
}

function socketId(page) {
  return page.evaluate(() => document.body.dataset.socket);
}

async function shot(page, name) {
  if (shots) await page.screenshot({ path: path.join(shots, `${name}.png`) });
}

function seen(what) {
  console.log(`ok ${what}`);
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
