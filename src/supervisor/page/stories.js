"use strict";
// Stories: each sets a scene, sends requests, and explains what happens, step by step.
//
// A step says what is about to happen, does it, waits until it shows, and says what was seen.
// `agreement`: how catalogs agree among themselves, which they do not if their books are in etcd.

const lookup = (book) => ["GET", `/lookup/${book}`];
const until = (name, wanted) => () => server(name).state === wanted;
const ready = (...names) => () => names.every((name) => server(name).state === "up");
const everybody = () => state.servers.every((one) => one.state === "up");
const copyAt = (name, book) => server(name).look.books.find((one) => one.id === book);
const number = (name, book) => copyAt(name, book)?.version.split("-")[0] ?? "?";
const front = () => state.servers.find((one) => one.kind === "front-end").name;
const cacheHas = (cache, key) =>
  server(front()).look.caches?.[cache].some((entry) => String(entry.id) === key);
const seen = (answer) => answer.headers["cache-status"] ?? "no answer";

const said = (answer) => answer.body?.message ?? answer.error ?? "no answer";
const etag = (answer) => answer.headers.etag ?? "none";

const kill = (name, say) => ({ say, acts: [[name, "kill"]], until: until(name, "down") });
const start = (name, say, saw) => ({ say, acts: [[name, "start"]], until: until(name, "up"), saw });
const request = (server, [method, path], say, saw, more = {}) =>
  ({ say, request: { server, method, path, ...more }, saw });
const buy = (say, saw, more) => request(null, ["PUT", "/buy/2"], say, saw, more);

const numbers = () => `Book 2 has sequence number ${number("catalog1", 2)} at catalog1 and ${
  number("catalog2", 2)} at catalog2.`;

const STORIES = [
  {
    title: "A normal order",
    agreement: true,
    intro: "One customer buys one copy, and nothing goes wrong.",
    steps: [
      buy("The customer sends PUT /buy/2 to the front-end. It gives the order an id and sends it to the "
        + "order server whose turn it is. That one reads the book from its catalog and writes it back "
        + "with one copy less, on the condition that nobody has changed it meanwhile.",
        (answer) => `${said(answer)}, after ${answer.ms.toFixed(1)} ms.`),
      { say: "The catalog gave the change the next sequence number and sent it to the other catalog, "
        + "which put it on disk as tentative. Then the front-end threw the old copy out of its cache. "
        + "Only then was the copy valid, and the customer told.",
        until: () => number("catalog1", 2) === number("catalog2", 2), saw: numbers },
    ],
    notice: "Both catalogs have the same number and the same stock. The copy was on both disks before "
      + "the customer heard of it.",
    next: "One catalog misses a write",
  },
  {
    title: "A write, all at one number",
    agreement: true,
    intro: "The price of a book changes while both catalogs run.",
    steps: [
      request("catalog1", ["PUT", "/update/1"], "The owner sends the new price to catalog1. It checks that "
        + "no catalog has a newer copy, and sends an update with the next sequence number.",
        (answer) => `Status ${answer.status}; the new version is ${etag(answer)}.`,
        { body: () => JSON.stringify({ price: 20 + Math.floor(Math.random() * 100) / 10 }) }),
      { say: "Catalog2 acknowledges: on disk, tentative. The front-end invalidates. Catalog1 says "
        + "confirm, and both copies are valid.",
        until: () => number("catalog1", 1) === number("catalog2", 1),
        saw: () => `Book 1 has number ${number("catalog1", 1)} at both.` },
    ],
    notice: "The number went up by one, at both catalogs.",
    next: "A write on an outdated book",
  },
  {
    title: "A write on an outdated book",
    intro: "Two people change the same book. The second has read it before the first wrote.",
    steps: [
      request("catalog1", ["GET", "/query/item/3"], "The second person reads book 3 and keeps its version.",
        (answer) => { outdated = etag(answer); return `It read version ${outdated}.`; }),
      request("catalog2", ["PUT", "/update/3"], "Meanwhile the first person changes it, at the other catalog.",
        (answer) => `Done: version ${etag(answer)}.`,
        { body: () => JSON.stringify({ price: 15 + Math.floor(Math.random() * 100) / 10 }) }),
      request("catalog1", ["PUT", "/update/3"], "The second person writes, and says which version was read.",
        (answer) => `Status ${answer.status}: ${answer.status === 200 ? "changed" : said(answer)}`,
        { body: () => '{"quantity": 1}', headers: () => ({ "If-Match": outdated }) }),
    ],
    notice: "412: nothing happened. The second person reads again and decides anew. Order servers sell "
      + "in just this way, so that no copy is sold twice.",
    next: "One click, sent twice",
  },
  {
    title: "One click, sent twice",
    intro: "A customer's connection breaks after the click. Was it bought? The browser sends it again.",
    steps: [
      buy("The first request, with an Idempotency-Key made for this click.",
        (answer) => `${said(answer)}.`, { headers: () => ({ "Idempotency-Key": newKey() }) }),
      buy("The same click again: the same key.",
        (answer) => `${said(answer)}. Idempotent-Replayed: ${answer.headers["idempotent-replayed"]}.`,
        { headers: () => ({ "Idempotency-Key": clickKey }) }),
      { say: "How many copies are gone?", until: () => true,
        saw: () => `One: ${copyAt("catalog1", 2)?.quantity} are left, and stock + sold = start.` },
    ],
    notice: "The book's own record says which orders have their copies. It is on disk before the customer "
      + "is told.",
    next: "The order servers' fail-over",
  },
  {
    title: "The lookup cache",
    intro: "The front-end keeps answers. When may it use them?",
    steps: [
      request(null, lookup(2), "A look-up. If book 2 was not in the dictionary, a catalog is asked.",
        (answer) => `Cache-Status: ${seen(answer)}.`),
      request(null, lookup(2), "The same again. Now it is there: no catalog is asked, and book 2 moves to "
        + "the end of the list, most recently used.", (answer) => `Cache-Status: ${seen(answer)}.`),
      buy("Somebody buys the book. Before the customer is told, the catalog makes every front-end drop it.",
        (answer) => `${said(answer)}.`),
      { say: "Look at the front-end's dictionary.", until: () => !cacheHas("lookup", "2"),
        saw: () => "Book 2 is gone from it, and from the list." },
      request(null, lookup(2), "The next look-up asks a catalog again.",
        (answer) => `Cache-Status: ${seen(answer)}; ${answer.body.quantity} are left.`),
      request(null, lookup(4), "Three more look-ups, of other books: 4 …", (answer) => seen(answer)),
      request(null, lookup(5), "… 5 …", (answer) => seen(answer)),
      request(null, lookup(6), "… and 6. With room for three, the least recently used goes.",
        () => `The list is now ${server(front()).look.caches?.lookup.map((one) => one.id).join(", ")}.`,
        { settle: 700 }),
    ],
    notice: "A hit costs no message at all. A buy makes the cached copy void before anybody hears of it.",
    next: "The search cache and its topics",
  },
  {
    title: "The search cache and its topics",
    intro: "A search is cached with the topics that it found. A change voids those that it touches.",
    steps: [
      request(null, ["GET", "/search/developer"], "A search for “developer”.",
        (answer) => `Cache-Status: ${seen(answer)}.`),
      request(null, ["GET", "/search/graduate"], "And one for “graduate”.",
        (answer) => `Cache-Status: ${seen(answer)}.`),
      request("catalog1", ["PUT", "/update/7"], "The title of book 7, whose topic is Developer Life, changes.",
        (answer) => `Now it is “${answer.body.title}”.`,
        { body: () => JSON.stringify({ title: `Spring in the Pioneer Valley, ${year += 1}` }) }),
      { say: "The catalog told the front-end which topic is void.", until: () => !cacheHas("search", "developer"),
        saw: () => `“developer” is void; “graduate” ${cacheHas("search", "graduate") ? "stays" : "is gone, too"}.` },
      request(null, ["GET", "/search/developer"], "The next search asks a catalog, and shows the new title.",
        (answer) => `Cache-Status: ${seen(answer)}; “${answer.body[0]?.title}”.`),
      request("catalog1", ["PUT", "/update/7"], "The old title again.", () => "As before.",
        { body: () => '{"title": "Spring in the Pioneer Valley"}' }),
    ],
    notice: "What a search found of other topics stays cached.",
    next: "One catalog misses a write",
  },
  {
    title: "One catalog misses a write",
    agreement: true,
    intro: "A catalog dies. The shop sells on. What does it know when it is back?",
    steps: [
      kill("catalog2", "catalog2 is killed. Restarting is off, so it stays down."),
      buy("A customer buys. catalog1 notes on disk that catalog2 is left out, and sells without it.",
        (answer) => `${said(answer)}, after ${answer.ms.toFixed(0)} ms.`),
      start("catalog2", "catalog2 starts again. Nothing in its folder is trusted yet: it compares its list of "
        + "versions with catalog1's, page by page, and fetches the better copies. Until then it is not ready.",
        numbers),
    ],
    notice: "The same number at both. No answer was given from the old copy.",
    next: "Total failure, different numbers",
  },
  {
    title: "Total failure, different numbers",
    agreement: true,
    intro: "Both catalogs die, one after the other, and the first to die has missed a sale.",
    steps: [
      kill("catalog2", "catalog2 dies first."),
      buy("A sale that only catalog1 has on disk.", (answer) => `${said(answer)}.`),
      kill("catalog1", "Then catalog1 dies, too. Nobody sells now."),
      { say: "catalog2 starts alone. It was left out, and it knows that it may lack sales: it waits.",
        acts: [["catalog2", "start"]], until: until("catalog2", "not ready"),
        saw: () => "It says for whom: look at it." },
      request(null, lookup(2), "A customer asks. No catalog may answer: better no answer than an old one.",
        (answer) => `Status ${answer.status}: not now.`),
      { say: "catalog1 starts: the last to go opens first.", acts: [["catalog1", "start"]],
        until: ready("catalog1", "catalog2"), saw: numbers },
    ],
    notice: "The higher number has won, and the sale is not lost.",
    next: "Cold start",
  },
  {
    title: "Cold start",
    agreement: true,
    intro: "All catalogs were shut down, and start at the same moment. May they answer at once?",
    steps: [
      { say: "Both catalogs are killed.", acts: [["catalog1", "kill"], ["catalog2", "kill"]],
        until: () => ["catalog1", "catalog2"].every((name) => server(name).state === "down") },
      { say: "Both start. Each has every book on disk, and knows of none whether it is the newest. They "
        + "say hello, compare their versions, and only then call a copy valid.",
        acts: [["catalog1", "start"], ["catalog2", "start"]], until: ready("catalog1", "catalog2"), saw: numbers },
      request("catalog1", ["GET", "/query/item/2"], "The first read.",
        (answer) => `Status ${answer.status}: ${answer.body.quantity} copies, version ${etag(answer)}.`),
    ],
    notice: "A valid copy is answered without a message to anybody.",
    next: "The order servers' fail-over",
  },
  {
    title: "The order servers' fail-over",
    intro: "An order server dies in the middle of a working day.",
    steps: [
      kill("order1", "order1 is killed."),
      buy("A customer buys. The front-end asks the next order server, with the same order id: so it is one "
        + "sale, whatever the dead one may have done.", (answer) => `${said(answer)}, ${answer.ms.toFixed(1)} ms.`),
      buy("Another customer.", (answer) => `${said(answer)}, ${answer.ms.toFixed(1)} ms.`),
      start("order1", "order1 is back, and gets its turn again. It had nothing to remember.",
        () => "All servers are up."),
    ],
    notice: "No customer noticed. Order servers keep nothing: the book has its orders.",
    next: "Order, catalog unreachable",
  },
  {
    title: "Order, catalog unreachable",
    intro: "Each order server has one catalog. What if that one is down?",
    steps: [
      kill("catalog1", "catalog1 is killed: order1 has no catalog now."),
      request("order1", ["PUT", "/buy/2"], "Asked directly, order1 cannot sell. It says so at once, and that "
        + "nothing happened.", (answer) => `Status ${answer.status}, Bazar-Outcome: ${answer.headers["bazar-outcome"]}.`),
      buy("A customer of the front-end gets a copy: it goes on to order2, whose catalog runs.",
        (answer) => `${said(answer)}, ${answer.ms.toFixed(1)} ms.`),
      start("catalog1", "catalog1 starts, catches up, and order1 is ready again.", numbers),
    ],
    notice: "“None” and “unknown” are different answers. After “none” another server may be asked.",
    next: "Order on an outdated catalog",
  },
  {
    title: "Order on an outdated catalog",
    agreement: true,
    intro: "An order server asks its catalog at the very moment when that one has missed a sale.",
    steps: [
      kill("catalog2", "catalog2 is killed."),
      buy("It misses this sale.", (answer) => `${said(answer)}.`),
      { say: "catalog2 starts, and an order reaches it through order2 at once.", acts: [["catalog2", "start"]],
        until: () => server("catalog2").process !== null },
      request("order2", ["PUT", "/buy/2"], "order2 asks catalog2. As long as that has not caught up, it gives no "
        + "copy that may be old: the order is refused, or sold from the newest copy.",
        (answer) => `Status ${answer.status}: ${said(answer)}`),
      { say: "Some moments later both are the same.", until: ready("catalog2"), saw: numbers },
    ],
    notice: "Whatever the answer was, stock + sold = start holds.",
    next: "A stopped catalog and its lease",
  },
  {
    title: "A stopped catalog and its lease",
    agreement: true,
    intro: "A stopped process is worse than a dead one: it accepts connections, and answers nothing.",
    steps: [
      { say: "catalog2 is stopped (SIGSTOP).", acts: [["catalog2", "stop"]], until: until("catalog2", "stopped"),
        saw: () => "To the others it is silent." },
      request(null, lookup(2), "A look-up. The front-end's lease from catalog2 runs out after half a second: then "
        + "it may not use its cache, because catalog2 might have sold without telling.",
        (answer) => `Cache-Status: ${seen(answer)}, ${answer.ms.toFixed(1)} ms.`, { wait: 900 }),
      buy("A buy: catalog1 leaves catalog2 out, and goes on.",
        (answer) => `${said(answer)}, after ${answer.ms.toFixed(0)} ms.`),
      { say: "catalog2 goes on (SIGCONT). It sees by the clock that it was asleep, trusts nothing, and catches up "
        + "before it answers.", acts: [["catalog2", "continue"]], until: ready("catalog2"), saw: numbers },
    ],
    notice: "A sleeper that wakes up never answers from what it remembers.",
    next: "A normal order",
  },
];

const sees = (one, other, live) =>
  server(one).look.metrics?.[`bazar_peer_live{peer="${server(other).known_as}"}`] === live;
const bothSee = (live) => sees("catalog1", "catalog2", live) && sees("catalog2", "catalog1", live);
const between = (command) => [`/links/catalog1/catalog2/${command}`];
const left = (name) => `${name}: number ${number(name, 2)}, ${copyAt(name, 2)?.quantity ?? "?"} left`;

/** Needs the switches of `bazar shop --demo`. */
const CUT_STORY = {
  title: "A cut, and its healing",
  agreement: true,
  intro: "The network between the two catalogs breaks. Both run, and each takes the other for dead.",
  steps: [
    { say: "The link between catalog1 and catalog2 is cut: what they send each other vanishes. After half a "
      + "second without an answer each leaves the other out.", posts: between("cut"),
      until: () => bothSee(0) && ready("catalog1", "catalog2")(),
      saw: () => `Both are up, and neither sees the other. ${left("catalog1")}; ${left("catalog2")}.` },
    request("order1", ["PUT", "/buy/2"], "On this side order1 sells a copy, from catalog1.",
      (answer) => `${said(answer)}. ${left("catalog1")}; ${left("catalog2")}.`, { settle: 700 }),
    request("order2", ["PUT", "/buy/2"], "On the other side order2 sells one, from catalog2 …",
      (answer) => `${said(answer)}.`),
    request("order2", ["PUT", "/buy/2"], "… and another.",
      (answer) => `${said(answer)}. ${left("catalog1")}; ${left("catalog2")}. Three are sold, and no `
        + "catalog knows of all: the line at the top turns red.", { settle: 700 }),
    { say: "The link is healed. The catalogs meet, compare what they have, and the copy with more changes wins.",
      posts: between("heal"), until: () => bothSee(1) && ready("catalog1", "catalog2")()
        && number("catalog1", 2) === number("catalog2", 2),
      saw: () => `${left("catalog1")}; ${left("catalog2")}.` },
    { say: "Who has lost? Nothing vanishes silently: both catalogs have it in their logs.",
      until: async () => (await losses()).length > 0,
      saw: async () => (await losses()).join("\n") },
    request("catalog1", ["PUT", "/update/2"], "The owner reads that. The customer of the side that lost "
      + "has a copy, too: the owner takes it off the stock.", () => `${left("catalog1")}; ${left("catalog2")}.`,
      { body: () => JSON.stringify({ quantity: copyAt("catalog1", 2).quantity - 1 }), settle: 1200 }),
  ],
  notice: "This is what Bazar does not promise: no copy sold twice while the network is cut. It goes on selling, and "
    + "afterwards says what was dropped. Had it been the last copy, a customer would have to be refunded.",
  next: "One catalog misses a write",
};

/** What the catalogs' logs say of copies that a cut has cost. */
async function losses() {
  const logs = await Promise.all(["catalog1", "catalog2"].map(async (name) => {
    const { lines } = await ask("GET", `/servers/${name}/log`);
    return lines.filter((line) => line.includes("other side of a cut")).slice(-1)
      .map((line) => `${name}: ${line}`);
  }));
  return logs.flat();
}

let outdated = "";
let clickKey = "";
let year = 2000;

function newKey() {
  clickKey = `click-${Date.now()}`;
  return clickKey;
}

/** The stories that this shop can tell. */
let offered = [];

/** The story that is told: its steps so far, and whether it was restarting before. */
let told = null;

const STEP_MAX_MS = 60000;

async function waitFor(condition) {
  const end = Date.now() + STEP_MAX_MS;
  for (;;) {
    await poll();
    // A busy machine may show a server before its books.
    const seen = state.servers.every((one) => one.kind !== "catalog" || one.state !== "up" || one.look.books.length);
    if (seen && await condition()) return true;
    if (end < Date.now()) return false;
    await sleep(150);
  }
}

/** Where the story has a column of its own only that is scrolled: the servers stay in sight. */
function showNewest(element) {
  const column = document.querySelector(".stories");
  if (matchMedia("(min-width: 1100px)").matches) column.scrollTop = column.scrollHeight;
  else element.scrollIntoView({ block: "nearest" });
}

/** Does one step, and shows it below the last one. */
async function tell(step) {
  const item = make("li", "", make("p", "", step.say));
  byId("story-steps").append(item);
  showNewest(item);
  for (const [name, action] of step.acts ?? []) {
    const path = `/servers/${name}/${action}`;
    item.append(make("code", "", curl("POST", path)));
    // It may be so already, in another order of stories.
    try { await ask("POST", path); } catch (failure) { item.append(make("p", "error", failure.message)); }
  }
  for (const path of step.posts ?? []) {
    item.append(make("code", "", curl("POST", path)));
    await ask("POST", path);
  }
  if (step.wait) await sleep(step.wait);
  let answer = null;
  if (step.request) answer = await send(step.request, item);
  const shows = !step.until || await waitFor(step.until);
  if (step.request?.settle) await sleep(step.request.settle);
  if (step.request?.settle || !step.until) await waitFor(() => true);
  const saw = shows ? await step.saw?.(answer) : "That takes longer than it should: look at the servers.";
  if (saw) item.append(make("p", "saw", saw));
}

async function send({ server: name, method, path, body, headers }, item) {
  const to = name ?? front();
  const text = body?.();
  const extra = headers?.() ?? {};
  const { id, traceparent } = newTrace();
  const options = Object.entries(extra).map(([key, value]) => ` -H '${key}: ${value}'`).join("")
    + (text ? ` -d '${text}'` : "");
  item.append(make("code", "", `curl -X ${method}${options} ${server(to).address}${path}`));
  const answer = await ask("POST", `/request/${to}/${method}${path}`, text,
    { ...extra, traceparent });
  await showTrace(id, `${method} ${path}`);
  const status = answer.status || "no answer";
  const shown = answer.error ?? JSON.stringify(answer.body);
  item.append(make("code", "answer", `${status}  ${shown}`));
  return { headers: {}, body: {}, ...answer };
}

/** Sets the scene: all servers up, copies to sell, nobody started again but by the story. */
async function begin(story) {
  if (told) await leave();
  told = { story, at: 0, restarting: state.restarting };
  byId("story").hidden = false;
  document.querySelector("main").classList.add("telling");
  byId("story-title").textContent = story.title;
  byId("story-intro").textContent = story.intro;
  byId("story-steps").replaceChildren();
  byId("story-end").hidden = true;
  scrollTo(0, 0);
  byId("story-title").focus();
  const next = byId("story-next");
  next.disabled = true;
  next.textContent = "Setting the scene …";
  try {
    await ask("POST", "/restarting/off");
    await startAll();
    const left = Math.min(...["catalog1", "catalog2"].map((name) => copyAt(name, 2)?.quantity ?? 0));
    if (left < 5) await ask("POST", "/restock/2?copies=20");
  } finally {
    if (told?.story === story) {
      next.disabled = false;
      next.textContent = "First step";
    }
  }
}

async function startAll() {
  await poll();
  for (const { ends, condition } of state.links ?? []) {
    if (condition !== "open") await ask("POST", linkPath(ends, "heal"));
  }
  for (const one of state.servers) {
    if (one.state === "stopped") await ask("POST", `/servers/${one.name}/continue`);
    if (!one.process) await ask("POST", `/servers/${one.name}/start`).catch(() => {});
  }
  await waitFor(everybody);
}

async function nextStep() {
  const button = byId("story-next");
  if (!told || button.disabled) return;
  const { story } = told;
  button.disabled = true;
  button.textContent = "…";
  try {
    await tell(story.steps[told.at]);
  } catch (failure) {
    byId("story-steps").append(make("li", "error", failure.message));
  }
  if (told?.story !== story) return;
  told.at += 1;
  const over = told.at === story.steps.length;
  button.disabled = over;
  button.textContent = over ? "The end" : "Next step";
  if (over) {
    const end = byId("story-end");
    const next = offered.find((one) => one.title === story.next)
      ?? offered[(offered.indexOf(story) + 1) % offered.length];
    end.textContent = `Notice: ${story.notice}\nTry next: ${next.title}.`;
    end.hidden = false;
    byId("story-close").focus({ preventScroll: true });
  } else {
    button.focus({ preventScroll: true });
  }
  showNewest(button);
}

/** Puts everything back as it was. */
async function leave() {
  const { restarting } = told;
  told = null;
  byId("story").hidden = true;
  document.querySelector("main").classList.remove("telling");
  if (restarting) await ask("POST", "/restarting/on");
  await startAll();
}

byId("story-next").addEventListener("click", nextStep);
byId("story-close").addEventListener("click", () => attempt(leave));
function offer(story) {
  const button = make("button", "", story.title);
  button.addEventListener("click", () => attempt(() => begin(story)));
  byId("story-list").append(button);
}

/** Called when the state is known. */
function offerStories() {
  if (offered.length) return;
  const all = state.links ? [...STORIES, CUT_STORY] : STORIES;
  offered = all.filter((story) => !(state.etcd && story.agreement));
  offered.forEach(offer);
  byId("story-etcd").hidden = !state.etcd;
}
