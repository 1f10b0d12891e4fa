-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What the HTML report does where JavaScript runs: search, and choice of what is shown. Without it
-- the page has all of its content, and these controls are not there.

return [[
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const toolbar = document.querySelector(".toolbar");
  const input = toolbar.querySelector("input");
  const output = toolbar.querySelector("output");
  const tests = all(".test");
  const MOST = 5000; // hits that are marked
  let hits = [], now = -1, status = "all", sought = "";

  const searchable = ".line, .what, .message, h3, .detail, .notes li";

  const openUp = (element) => {
    for (let up = element.parentElement; up; up = up.parentElement)
      if (up.tagName === "DETAILS") up.open = true;
  };

  const go = (step) => {
    if (!hits.length) return;
    if (now >= 0) hits[now].classList.remove("now");
    now = (now + step + hits.length) % hits.length;
    const hit = hits[now];
    hit.classList.add("now");
    hit.classList.remove("gone");
    openUp(hit);
    hit.scrollIntoView({ block: "center" });
    tell();
  };

  const tell = () => {
    const most = hits.length === MOST ? "+" : "";
    output.textContent = !sought ? "" : !hits.length ? "not found"
      : `${now < 0 ? "" : now + 1 + " of "}${hits.length}${most} found`;
  };

  const choose = () => {
    const found = new Set();
    if (sought) for (const hit of hits) found.add(hit.closest(".test"));
    for (const test of tests) {
      const wanted = (status === "all" || test.dataset.status === status)
        && (!sought || found.has(test));
      test.classList.toggle("gone", !wanted);
    }
    for (const suite of all(".suite"))
      suite.classList.toggle("gone", !suite.querySelector(".test:not(.gone)"));
  };

  let timer;
  const search = () => {
    clearTimeout(timer);
    sought = input.value.trim().toLowerCase();
    for (const hit of hits) hit.classList.remove("hit", "now");
    hits = [];
    now = -1;
    if (sought)
      for (const element of all(searchable)) {
        const test = element.closest(".test");
        if (status !== "all" && test && test.dataset.status !== status) continue;
        if (!element.textContent.toLowerCase().includes(sought)) continue;
        element.classList.add("hit");
        hits.push(element);
        if (hits.length === MOST) break;
      }
    choose();
    tell();
  };

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, 150);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      if (sought !== input.value.trim().toLowerCase()) search();
      go(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      input.value = "";
      search();
    }
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      input.focus();
    }
  });
  for (const button of all("button[data-status]", toolbar))
    button.addEventListener("click", () => {
      status = button.dataset.status;
      for (const other of all("button[data-status]", toolbar))
        other.setAttribute("aria-pressed", String(other === button));
      search();
    });
  toolbar.addEventListener("submit", (event) => event.preventDefault());
  toolbar.querySelector("[data-next]").addEventListener("click", () => go(1));
  toolbar.querySelector("[data-previous]").addEventListener("click", () => go(-1));
  toolbar.hidden = false;

  const levels = {
    all: () => true,
    dialogue: (line) => !("k" in line.dataset),
    kernel: (line) => "k" in line.dataset,
    warnings: (line) => /\bk[0-4]\b/.test(line.className),
  };
  for (const console of all(".console")) {
    const tools = console.querySelector(".tools");
    const [text, choice] = [tools.querySelector("input"), tools.querySelector("select")];
    const apply = () => {
      const words = text.value.trim().toLowerCase(), level = levels[choice.value];
      let shown = 0;
      const lines = all(".line", console);
      for (const line of lines) {
        const wanted = level(line) && (!words || line.textContent.toLowerCase().includes(words));
        line.classList.toggle("gone", !wanted);
        shown += wanted ? 1 : 0;
      }
      tools.querySelector("output").textContent =
        shown === lines.length ? "" : `${shown} of ${lines.length} lines`;
    };
    text.addEventListener("input", apply);
    choice.addEventListener("change", apply);
    tools.hidden = false;
  }

  // What failed is explained by the end of a console.
  for (const pre of all(".test[data-status=bad] .console pre")) pre.scrollTop = pre.scrollHeight;

  const arrive = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (!target) return;
    openUp(target);
    if (target.tagName === "DETAILS") target.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", arrive);
  arrive();
})();
]]
