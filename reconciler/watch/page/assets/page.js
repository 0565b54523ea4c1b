"use strict";
// Filters, the tree, copy buttons and ages. Without it the page shows the same, but for these.
(() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const announcement = document.getElementById("announcement");
  const announce = (text) => { announcement.textContent = text; };
  window.reconcile = { all, announce, data: JSON.parse(document.getElementById("data").textContent) };

  for (const element of all(".needs-script")) element.hidden = false;
  for (const element of all(".without-script")) element.hidden = true;

  const duration = (seconds) => {
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
      if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
    }
    return "less than a minute";
  };
  const age = (moment) => (Date.now() - Date.parse(moment)) / 1000;
  const showAges = () => {
    for (const element of all("[data-since]")) {
      const seconds = age(element.dataset.since);
      element.textContent = seconds < 0 ? "" : ` (${duration(seconds)} ago)`;
    }
    for (const element of all("[data-stale]")) {
      const seconds = age(element.dataset.stale);
      element.hidden = seconds < 26 * 3600;
      if (!element.hidden) element.textContent = `This page was written ${duration(seconds)} ago. Does the watch still run?`;
    }
  };
  showAges();
  setInterval(showAges, 60000);

  const filter = document.getElementById("filter");
  const items = all(".filtered");
  const boxes = all("input[data-verdict], input[data-cause]");
  const shown = document.getElementById("shown");
  const applyFilters = () => {
    const text = filter.value.trim().toLowerCase();
    const chosen = new Set(boxes.filter((box) => box.checked).map((box) => box.dataset.verdict || box.dataset.cause));
    let count = 0;
    for (const item of items) {
      const fits = chosen.has(item.dataset.verdict || item.dataset.cause) && item.textContent.toLowerCase().includes(text);
      item.hidden = !fits;
      count += fits;
    }
    for (const group of all(".cause")) group.hidden = !group.querySelector(".filtered:not([hidden])");
    shown.textContent = count === items.length ? "" : `${count} of ${items.length} shown`;
  };
  if (filter) for (const input of [filter, ...boxes]) input.addEventListener("input", applyFilters);

  // A link to a difference shows it even if a filter hides it.
  window.addEventListener("hashchange", () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target && target.hidden && filter) {
      filter.value = "";
      for (const box of boxes) box.checked = true;
      applyFilters();
      target.scrollIntoView();
    }
  });

  const tree = document.getElementById("tree");
  if (tree) {
    const open = (value) => { for (const element of all("details", tree)) element.open = value; };
    document.getElementById("expand").addEventListener("click", () => open(true));
    document.getElementById("collapse").addEventListener("click", () => open(false));
    document.getElementById("only-differing").addEventListener("change", (event) => {
      tree.classList.toggle("only-differing", event.target.checked);
    });
  }

  const copy = async (text, source) => {
    if (navigator.clipboard && window.isSecureContext) {
      try { await navigator.clipboard.writeText(text); return true; } catch { /* not permitted: select it instead */ }
    }
    const range = document.createRange();
    range.selectNodeContents(source);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    return document.execCommand("copy");
  };
  for (const button of all(".copy")) {
    button.addEventListener("click", async () => {
      const source = button.parentElement.querySelector("code");
      const done = await copy(source.textContent, source);
      button.textContent = done ? "Copied" : "Selected";
      announce(done ? "The command was copied." : "The command is selected; copy it with the keyboard.");
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  addEventListener("beforeprint", () => {
    for (const element of all("details:not([open])")) {
      if (element.classList.contains("nights") || element.closest("#tree")) { element.open = true; element.dataset.opened = ""; }
    }
  });
  addEventListener("afterprint", () => {
    for (const element of all("details[data-opened]")) { element.open = false; delete element.dataset.opened; }
  });
})();
