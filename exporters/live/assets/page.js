"use strict";

const MOST_READINGS = 900, MOST_REQUESTS = 100, RETRY_MILLISECONDS = 3000;
const $ = (id) => document.getElementById(id);
const chart = new PowerChart($("chart"));
const shown = { readings: [], requests: [], devices: [], upstreams: {}, budgets: [], saving: null };

/* What is unknown is a dash, and never 0. */
const figure = (value, digits = 0) =>
  value === null || value === undefined || Number.isNaN(value) ? "–"
    : value.toLocaleString(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits });
const joules = (value) => figure(value, !value || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2);
const withUnit = (text, unit) => (text === "–" ? text : `${text} ${unit}`);

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/* What was asked behind the client's back, to measure a saving, is in no mean. */
function known(requests) {
  return requests.filter((request) => request.energy.joules !== null && !request.is_holdout);
}

function showTiles() {
  const last = shown.readings.at(-1);
  $("power").textContent = withUnit(figure(last?.watts ?? null), "W");
  $("in-flight").textContent = figure(last?.in_flight ?? null);
  const counted = known(shown.requests);
  const spent = counted.reduce((sum, request) => sum + request.energy.joules, 0);
  $("per-request").textContent = counted.length ? withUnit(joules(spent / counted.length), "J") : "–";
  const told = counted.filter((request) => request.tokens.completion);
  const tokens = told.reduce((sum, request) => sum + request.tokens.completion, 0);
  const spentOnThem = told.reduce((sum, request) => sum + request.energy.joules, 0);
  $("per-tokens").textContent = tokens ? withUnit(joules(1000 * spentOnThem / tokens), "J") : "–";
  showSaving();
}

function showSaving() {
  const saving = shown.saving;
  const percent = (share) => figure(100 * share, 0);
  $("saving").textContent = saving === null ? "–" : `${percent(saving.share)} %`;
  if (saving !== null) {
    $("saving").append(element("small", `${percent(saving.low)} to ${percent(saving.high)} %, measured on ${saving.samples} held out`));
  }
}

function showAccounts() {
  const [first, last] = [shown.readings[0], shown.readings.at(-1)];
  const before = shown.readings.at(-6) ?? first;
  const body = $("accounts").tBodies[0];
  body.replaceChildren();
  if (!first || first === last) return;
  const spent = Object.fromEntries(ACCOUNTS.map((account) => [account, last.joules[account] - first.joules[account]]));
  const all = ACCOUNTS.reduce((sum, account) => sum + spent[account], 0);
  for (const account of ACCOUNTS) {
    const row = element("tr"), name = element("td");
    name.append(element("span", undefined, `swatch ${account}`), account);
    const watts = Math.max(0, last.joules[account] - before.joules[account]) / (last.at - before.at);
    const share = all > 0 ? `${figure(100 * spent[account] / all, 1)} %` : "–";
    row.append(name, element("td", withUnit(figure(watts), "W"), "number"),
      element("td", withUnit(joules(spent[account]), "J"), "number"), element("td", share, "number"));
    body.append(row);
  }
}

function card(isUp, name, ...lines) {
  const item = element("li");
  const title = element("strong", name, isUp ? "up" : "down");
  item.append(title, ...lines.filter(Boolean).map((line) => element("span", line)));
  return item;
}

function showDevices() {
  const devices = shown.devices.map((each) => card(each.is_up, each.name, each.device,
    each.is_up ? withUnit(figure(each.watts), "W") : `cannot be read: ${each.reason ?? "unknown"}`,
    each.counter_power_ratio === null ? null : `counter over power ${figure(each.counter_power_ratio, 3)}`));
  const servers = Object.entries(shown.upstreams).map(([name, isUp]) =>
    card(isUp, name, isUp ? "server answers" : "server does not answer"));
  $("devices").replaceChildren(...devices, ...servers);
  $("simulated").hidden = !shown.devices.some((each) => each.name.endsWith("(simulated)"));
}

function showBudgets() {
  $("budgets-section").hidden = shown.budgets.length === 0;
  $("budgets").replaceChildren(...shown.budgets.map((budget) => {
    const item = element("li"), bar = element("meter");
    const limit = budget.limit_joules, share = limit > 0 ? ` (${figure(100 * budget.used_joules / limit)} %)` : "";
    const used = `${joules(budget.used_joules)} of ${joules(limit)} J${share}`;
    Object.assign(bar, { min: 0, max: limit, low: 0.75 * limit, high: 0.9 * limit, optimum: 0, value: budget.used_joules });
    const title = budget.holder === "all" ? budget.name : `${budget.name}: ${budget.holder}`;
    bar.setAttribute("aria-label", `${title}: ${used}`);
    item.append(element("strong", title), bar, element("span", used, budget.used_joules > limit ? "bad" : ""));
    return item;
  }));
}

function tokensOf({ prompt, completion, reasoning }) {
  const thinking = reasoning ? ` (${figure(reasoning)} thinking)` : "";
  return `${figure(prompt)} → ${figure(completion)}${thinking}`;
}

/* The route; what every policy said is behind it, for a click, a touch or the keyboard. */
function routeOf(request) {
  const cell = element("td", undefined, "route");
  const others = request.reasons.filter((reason) => reason !== request.route);
  if (others.length === 0) {
    cell.textContent = request.route || "–";
    return cell;
  }
  const details = element("details"), list = element("ul");
  list.append(...request.reasons.map((reason) => element("li", reason)));
  details.append(element("summary", request.route || "–"), list);
  cell.append(details);
  return cell;
}

function requestRow(request) {
  const row = element("tr", undefined, request.is_holdout ? "holdout" : ""), energy = request.energy;
  const bounds = energy.low === null ? "–" : `${joules(energy.low)} … ${joules(energy.high)}`;
  row.append(element("td", new Date(1000 * request.at).toLocaleTimeString([], CLOCK)), element("td", request.upstream ?? "–"),
    element("td", joules(energy.joules), "number"), element("td", bounds, "number"),
    element("td", request.outcome ?? "–", request.outcome === "ok" ? "" : "bad"), element("td", tokensOf(request.tokens), "number"),
    routeOf(request), element("td", figure(request.seconds, 1), "number"), element("td", energy.method ?? "–"),
    element("td", request.tenant));
  return row;
}

/* New ones come on top, and the others stay as they are: one that was opened stays open. */
function showRequests(requests, isAll) {
  const body = $("rows").tBodies[0], rows = requests.toReversed().map(requestRow);
  if (isAll) body.replaceChildren(...rows);
  else body.prepend(...rows);
  while (body.rows.length > MOST_REQUESTS) body.lastElementChild.remove();
  $("no-requests").hidden = body.rows.length > 0;
}

function take(event) {
  if (event.kind === "state") {
    Object.assign(shown, event);
    $("version").textContent = event.version;
  } else {
    shown.readings = [...shown.readings, event.reading].slice(-MOST_READINGS);
    shown.requests = [...shown.requests, ...event.requests].slice(-MOST_REQUESTS);
    Object.assign(shown, { devices: event.devices, upstreams: event.upstreams, budgets: event.budgets, saving: event.saving });
  }
  chart.show(shown.readings);
  showTiles();
  showAccounts();
  showDevices();
  showBudgets();
  showRequests(event.requests, event.kind === "state");
}

/* Server-sent events by fetch, since EventSource cannot send a token. */
async function follow() {
  const token = sessionStorage.getItem("token");
  const reply = await fetch("/live/events", { headers: token ? { authorization: `Bearer ${token}` } : {} });
  if (reply.status === 401) return askForToken(token !== null);
  if (!reply.ok) throw new Error(`the proxy answered ${reply.status}`);
  $("connection").textContent = "live";
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the proxy has ended the connection");
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) take(JSON.parse(event.slice("data: ".length)));
  }
}

function askForToken(wasWrong) {
  $("token-form").hidden = false;
  $("connection").textContent = "needs the admin token";
  $("token-problem").textContent = wasWrong ? "That token is not right." : "";
  return new Promise((resolve) => {
    $("token-form").onsubmit = (submitted) => {
      submitted.preventDefault();
      sessionStorage.setItem("token", $("token").value);
      $("token-form").hidden = true;
      resolve();
    };
  });
}

async function main() {
  for (;;) {
    try {
      await follow();
    } catch (error) {
      $("connection").textContent = `not connected: ${error.message}; trying again`;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MILLISECONDS));
    }
  }
}

main();
