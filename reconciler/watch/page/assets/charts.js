"use strict";
// The charts, drawn by Apache ECharts on canvas. Names are data of the live systems: they only become text nodes or canvas text.
(() => {
  const { all, announce, data } = window.reconcile;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const plain = new Intl.NumberFormat("en");
  const LIGHT = ["#e3f1e6", "#c2410c", "#6d28d9", "#0369a1", "#be185d", "#a16207", "#0f766e", "#374151"];
  const DARK = ["#1f3a2a", "#fb923c", "#c4b5fd", "#38bdf8", "#f472b6", "#fde047", "#2dd4bf", "#d1d5db"];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let printing = false;
  const palette = () => (dark.matches && !printing ? DARK : LIGHT);
  const drawn = [];

  const tooltip = () => ({
    renderMode: "richText", confine: true, backgroundColor: colour("raised"), borderColor: colour("line"), textStyle: { color: colour("text") },
  });
  const axis = (more) => ({
    axisLabel: { color: colour("quiet"), hideOverlap: true }, axisLine: { lineStyle: { color: colour("line") } },
    axisTick: { lineStyle: { color: colour("line") } }, splitLine: { lineStyle: { color: colour("line") } },
    nameTextStyle: { color: colour("quiet") }, ...more,
  });
  const slider = (more) => ({
    type: "slider", brushSelect: false, borderColor: colour("line"), textStyle: { color: colour("quiet") }, showDetail: false, ...more,
  });

  function ledger(section, packed) {
    const place = section.querySelector(".heat-map");
    const details = section.querySelector(".cell-details");
    const onlyProblems = section.querySelector(".only-problems");
    const width = packed.detectors.length;
    const split = (text) => (text ? text.split(",") : null);
    const rucio = split(packed.rucio), butler = split(packed.butler), storage = split(packed.storage), more = split(packed.more);
    const letters = packed.problem;
    const problemOf = (cell) => letters.charCodeAt(cell) - 97;
    const exists = (cell) => letters[cell] !== ".";
    const bad = (cell) => exists(cell) && problemOf(cell) > 0;
    const describe = (cell) => packed.texts[cell] || packed.problems[problemOf(cell)];
    const heading = (cell) => `night ${packed.nights[Math.floor(cell / width)]}, detector ${packed.detectors[cell % width]}`;
    const number = (text) => (text ? plain.format(Number(text)) : "not checked");
    const counts = (cell) => [["in Rucio", number(rucio[cell])], ["in the Butler", number(butler[cell])],
      ["on storage", number(storage ? storage[cell] : "")]];
    let nights = [];
    let selected = -1;
    let chart = null;

    const element = (name, text) => { const made = document.createElement(name); made.textContent = text; return made; };
    const show = (cells, title) => {
      details.replaceChildren(element("h4", title));
      for (const cell of cells) {
        const lead = cells.length > 1 ? `detector ${packed.detectors[cell % width]}: ` : "";
        details.append(element("p", `${lead}${describe(cell)}; ${counts(cell).map(([name, count]) => `${name} ${count}`).join(", ")}`));
        const names = packed.missing[cell] || [];
        if (names.length) {
          const list = document.createElement("ul");
          for (const name of names) { const item = document.createElement("li"); item.append(element("code", name)); list.append(item); }
          details.append(list);
        }
        if (more && more[cell]) details.append(element("p", `${number(more[cell])} more are not named here.`));
      }
      details.hidden = false;
    };
    const open = (cell) => { show([cell], heading(cell)); details.focus(); };
    const openNight = (night) => {
      const row = packed.nights.indexOf(night);
      const cells = [];
      for (let cell = row * width; cell < (row + 1) * width; cell += 1) if (bad(cell)) cells.push(cell);
      show(cells, `night ${night}`);
      details.focus();
    };
    const select = (cell) => {
      selected = cell;
      const row = nights.indexOf(Math.floor(cell / width));
      if (row < 0) return;
      chart.setOption({ series: [{}, { data: [[row, cell % width]] }] });
      announce(exists(cell) ? `${heading(cell)}: ${describe(cell)}` : `${heading(cell)}: no entry`);
    };

    const draw = () => {
      const colours = palette();
      const narrow = place.clientWidth < 640;
      nights = packed.nights.map((_, row) => row);
      if (onlyProblems.checked) {
        nights = nights.filter((row) => { for (let c = row * width; c < (row + 1) * width; c += 1) if (bad(c)) return true; return false; });
      }
      const values = [];
      nights.forEach((row, x) => {
        for (let y = 0; y < width; y += 1) { const cell = row * width + y; if (exists(cell)) values.push([x, y, problemOf(cell)]); }
      });
      if (chart) chart.dispose();
      chart = echarts.init(place, null, { renderer: "canvas" });
      chart.setOption({
        animation: false, textStyle: { color: colour("text") },
        grid: { left: 56, right: 44, top: narrow ? 48 + 24 * packed.problems.length : 74, bottom: 74 },
        tooltip: { ...tooltip(), formatter: (item) => {
          const cell = nights[item.value[0]] * width + item.value[1];
          return `${heading(cell)}\n${exists(cell) ? describe(cell) : "no entry"}\n${exists(cell) ? counts(cell).map(([name, count]) => `${name}: ${count}`).join("\n") : ""}`;
        } },
        xAxis: axis({ type: "category", name: "night", nameLocation: "middle", nameGap: 26, data: nights.map((row) => String(packed.nights[row])), splitLine: { show: false } }),
        yAxis: axis({ type: "category", name: "detector", data: packed.detectors.map(String), splitLine: { show: false } }),
        visualMap: {
          type: "piecewise", dimension: 2, seriesIndex: 0, orient: narrow ? "vertical" : "horizontal", left: "left", top: 0, itemGap: 12, textStyle: { color: colour("text") },
          pieces: packed.problems.map((label, value) => ({ value, label, color: colours[value] })),
        },
        dataZoom: [slider({ xAxisIndex: 0, bottom: 8, height: 22 }), slider({ yAxisIndex: 0, right: 8, width: 20 })],
        series: [
          { type: "heatmap", data: values, progressive: 4000, itemStyle: { borderColor: colour("ground"), borderWidth: values.length < 4000 ? 1 : 0 } },
          { type: "scatter", data: [], symbol: "rect", symbolSize: 12, silent: true, z: 5, itemStyle: { color: "transparent", borderColor: colour("text"), borderWidth: 3 } },
        ],
      });
      chart.on("click", (event) => { if (event.seriesIndex === 0) { const cell = nights[event.value[0]] * width + event.value[1]; select(cell); open(cell); } });
      if (selected >= 0) select(selected);
      place.chart = chart;
      return chart;
    };

    const step = (key) => {
      if (!nights.length) return;
      if (selected < 0 || !nights.includes(Math.floor(selected / width))) {
        const first = nights.flatMap((row) => [...Array(width).keys()].map((y) => row * width + y)).find(bad);
        select(first === undefined ? nights[0] * width : first);
        return;
      }
      let x = nights.indexOf(Math.floor(selected / width)), y = selected % width;
      if (key === "PageDown" || key === "PageUp") {
        const by = key === "PageDown" ? 1 : -1;
        for (let at = x * width + y + by; at >= 0 && at < nights.length * width; at += by) {
          const cell = nights[Math.floor(at / width)] * width + at % width;
          if (bad(cell)) { select(cell); return; }
        }
        announce("no further cell with a problem");
        return;
      }
      x = Math.min(Math.max(x + (key === "ArrowRight") - (key === "ArrowLeft"), 0), nights.length - 1);
      y = Math.min(Math.max(y + (key === "ArrowUp") - (key === "ArrowDown"), 0), width - 1);
      select(nights[x] * width + y);
    };
    place.addEventListener("keydown", (event) => {
      if (["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown"].includes(event.key)) { event.preventDefault(); step(event.key); }
      if ((event.key === "Enter" || event.key === " ") && selected >= 0 && exists(selected)) { event.preventDefault(); open(selected); }
    });
    onlyProblems.addEventListener("change", draw);
    for (const button of all(".open-night", section)) button.addEventListener("click", () => openNight(Number(button.dataset.night)));
    return draw;
  }

  const VERDICTS = { "in sync": ["circle", "in-sync"], expected: ["diamond", "expected"], drift: ["triangle", "drift"], unknown: ["rect", "unknown"] };

  function timeline(place, past) {
    let chart = null;
    return () => {
      if (chart) chart.dispose();
      chart = echarts.init(place, null, { renderer: "canvas" });
      const verdicts = Object.entries(VERDICTS).map(([verdict, [symbol, name]]) => ({
        name: verdict, type: "scatter", symbol, symbolSize: 11, itemStyle: { color: colour(name) }, xAxisIndex: 0, yAxisIndex: 0,
        data: past.times.map((time, at) => [time, 0, at]).filter(([, , at]) => past.verdicts[at] === verdict),
      }));
      const causes = Object.entries(past.causes).map(([cause, numbers]) => ({
        name: cause, type: "line", step: "end", stack: "all", showSymbol: past.times.length < 60, symbolSize: 5, xAxisIndex: 1, yAxisIndex: 1,
        areaStyle: { opacity: 0.55 }, color: colour(cause), data: past.times.map((time, at) => [time, numbers[at]]),
      }));
      const one = past.times.length === 1;
      const first = Date.parse(past.times[0]), last = Date.parse(past.times[past.times.length - 1]);
      const range = one ? { min: first - 43200000, max: first + 43200000 } : { min: first, max: last };
      chart.setOption({
        animation: false, textStyle: { color: colour("text") }, useUTC: true,
        aria: { enabled: true, label: { enabled: false }, decal: { show: true } },
        legend: { top: 0, left: 0, type: "scroll", textStyle: { color: colour("text") }, data: [...verdicts, ...causes].filter((s) => s.data.length).map((s) => s.name) },
        grid: [{ left: 56, right: 24, top: 44, height: 28 }, { left: 56, right: 24, top: 90, bottom: 40 }],
        tooltip: { ...tooltip(), trigger: "axis", formatter: (points) => {
          const at = past.times.findIndex((time) => Date.parse(time) === Number(new Date(points[0].axisValue)));
          if (at < 0) return "";
          const lines = Object.entries(past.causes).filter(([, numbers]) => numbers[at]).map(([cause, numbers]) => `${cause}: ${plain.format(numbers[at])}`);
          return [past.times[at].replace("T", " ").replace("Z", " UTC"), past.verdicts[at], ...lines].join("\n");
        } },
        xAxis: [axis({ type: "time", gridIndex: 0, show: false, ...range }), axis({ type: "time", gridIndex: 1, splitLine: { show: false }, ...range })],
        yAxis: [axis({ type: "value", gridIndex: 0, show: false, min: -1, max: 1 }), axis({ type: "value", gridIndex: 1, minInterval: 1, name: "differences" })],
        series: [...verdicts, ...causes],
      });
      place.chart = chart;
      return chart;
    };
  }

  const draws = [];
  const place = document.getElementById("timeline");
  if (place) draws.push(timeline(place, data.timeline));
  for (const section of all(".ledger")) if (section.querySelector(".heat-map")) draws.push(ledger(section, data.ledgers[Number(section.dataset.ledger)]));
  const drawAll = () => { drawn.splice(0, drawn.length, ...draws.map((draw) => draw())); };
  // After the first paint, which doesn't wait for 75,600 cells.
  requestAnimationFrame(() => setTimeout(() => { drawAll(); document.documentElement.dataset.drawn = "true"; }, 0));
  dark.addEventListener("change", drawAll);
  addEventListener("beforeprint", () => { printing = true; drawAll(); });
  addEventListener("afterprint", () => { printing = false; drawAll(); });
  addEventListener("resize", () => { for (const element of all(".heat-map, #timeline")) if (element.chart) element.chart.resize(); });
})();
