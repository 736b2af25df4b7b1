"use strict";
// What the page does beyond forms and links. Without it everything works but what is live, keys, and checking while
// one types. Nothing of a record is ever made markup: texts are set as texts, and parts of pages come from the server.

const WAIT = 350;

// Live: the server says that something has happened, and the part that shows it is fetched again.
function watch(part) {
  const id = part.id;
  let busy = false, again = false;
  const address = new URL(part.dataset.live, location.origin);
  address.searchParams.set("seen", part.dataset.seen);
  const source = new EventSource(address);

  async function refresh() {
    if (document.hidden || busy) { again = true; return; }
    busy = true; again = false;
    try {
      const answer = await fetch(location.pathname + location.search, { headers: { accept: "text/html" } });
      if (!answer.ok) { source.close(); return; }
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(id);
      const shown = document.getElementById(id);
      if (fresh && shown) swap(shown, fresh);
    } catch (error) {
      console.warn("the page could not be refreshed:", error.message);
    } finally {
      busy = false;
      if (again && !document.hidden) setTimeout(refresh, 1000);
    }
  }
  source.addEventListener("change", refresh);
  document.addEventListener("visibilitychange", () => { if (again) refresh(); });
  // A connection that is left open would hold up the next page.
  addEventListener("pagehide", () => source.close());
}

// Puts new content in the place of the old, and leaves alone what somebody is at: the focus, and ticked boxes.
function swap(shown, fresh) {
  const at = document.activeElement;
  const focused = at && shown.contains(at) ? at.id || null : null;
  if (at && shown.contains(at) && at.matches("input, select, textarea, button")) return;
  const ticked = [...shown.querySelectorAll("input[type=checkbox]")].map((box) => [box.name + "=" + box.value, box.checked]);
  shown.replaceChildren(...[...fresh.childNodes].map((node) => document.importNode(node, true)));
  const states = new Map(ticked);
  for (const box of shown.querySelectorAll("input[type=checkbox]")) {
    if (states.has(box.name + "=" + box.value)) box.checked = states.get(box.name + "=" + box.value);
  }
  if (focused) document.getElementById(focused)?.focus();
}

// Checking: a while after the last key, what was typed is sent, and what is to be said of it is shown.
function check(form) {
  const problem = form.querySelector("[data-problem]");
  const checking = form.querySelector("[data-checking]");
  let timer = 0, asked = 0;

  function show(said) {
    problem.textContent = said.problem || "";
    for (const place of form.querySelectorAll("[data-for]")) {
      const error = said.errors[place.dataset.for], notice = said.notices[place.dataset.for];
      place.textContent = error || notice || "";
      place.classList.toggle("notice", !error && Boolean(notice));
      const field = form.elements.namedItem(place.dataset.for);
      if (error) field.setAttribute("aria-invalid", "true"); else field.removeAttribute("aria-invalid");
    }
    checking.textContent = !said.changed ? "" : said.good ? "✓ fits" : "✗ cannot be kept so";
  }

  async function ask() {
    const number = ++asked;
    try {
      const answer = await fetch(form.dataset.check, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
      const said = await answer.json();
      if (number === asked) show(said);
    } catch (error) {
      if (number === asked) checking.textContent = `not checked: ${error.message}`;
    }
  }
  form.addEventListener("input", () => {
    checking.textContent = "…";
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT);
  });
}

// Keys: those of one letter, where nobody types.
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = event.target;
  if (event.key === "Escape" && at.matches("input, textarea, select")) { at.blur(); return; }
  if (at.matches("input:not([type=checkbox]), textarea, select")) return;
  const rows = [...document.querySelectorAll("a.row")];
  const row = rows.indexOf(document.activeElement.closest("tr, li")?.querySelector("a.row") ?? document.activeElement);
  if (event.key === "j" || event.key === "k") {
    const next = row < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, row + (event.key === "j" ? 1 : -1)));
    rows[next]?.focus();
  } else if (event.key === "x" && row >= 0) {
    const box = rows[row].closest("tr").querySelector("input[type=checkbox]");
    if (box) box.checked = !box.checked;
  } else if (event.key === "/") {
    document.querySelector("[data-search]")?.focus();
  } else if (event.key === "e") {
    document.querySelector("form.edit textarea, form.edit input:not([type=hidden])")?.focus();
  } else {
    const meant = [...document.querySelectorAll("[data-key]")].find((each) => each.dataset.key === event.key);
    if (!meant) return;
    meant.click();
  }
  event.preventDefault();
}

for (const part of document.querySelectorAll("[data-live]")) watch(part);
for (const form of document.querySelectorAll("[data-check]")) check(form);
for (const all of document.querySelectorAll("[data-all]")) {
  all.addEventListener("change", () => {
    for (const box of document.getElementsByName(all.dataset.all)) box.checked = all.checked;
  });
}
addEventListener("keydown", onKey);
