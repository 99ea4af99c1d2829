// The page's script: filters and sorting of the prompts, players that take turns, and print. Nothing is loaded, nothing stored.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const made = (name, text, attributes = {}) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text; // never HTML: texts of prompts are shown as they are
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };

  // Players: one at a time, with a line that runs over the picture; a click on the picture seeks.
  for (const audio of document.querySelectorAll(".side audio")) {
    const picture = audio.parentElement.querySelector("svg.sound");
    const line = picture && picture.querySelector(".playhead");
    const width = picture && Number(picture.dataset.width);
    const move = () => line.setAttribute("transform", `translate(${width * (audio.currentTime / audio.duration || 0)} 0)`);
    audio.addEventListener("play", () => {
      for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
      const step = () => { if (!audio.paused && line) { move(); requestAnimationFrame(step); } };
      if (picture) { picture.classList.add("playing"); step(); }
    });
    audio.addEventListener("ended", () => picture && picture.classList.remove("playing"));
    if (picture) picture.addEventListener("click", (event) => {
      const box = picture.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width * picture.viewBox.baseVal.width / width;
      const seek = () => { audio.currentTime = Math.min(1, share) * audio.duration; audio.play().catch(() => {}); };
      if (audio.duration) seek(); else { audio.addEventListener("loadedmetadata", seek, { once: true }); audio.load(); audio.preload = "auto"; }
    });
  }

  // A link to an example unfolds what it lies in.
  const unfold = () => {
    const target = location.hash.startsWith("#example-") && byId(location.hash.slice(1));
    const folded = target && target.closest("details:not([open])");
    if (folded) { folded.open = true; target.scrollIntoView(); }
  };
  window.addEventListener("hashchange", unfold);
  unfold();

  // Print shows what is folded.
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
  });
  window.addEventListener("afterprint", () => { for (const one of opened) one.open = false; });

  const source = byId("prompt-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const CHUNK = 100; // rows that are added at a time, so that thousands stay quick
  const [ID, TEXT, WORDS, TAGS, VALUES, ABSENT, ANCHOR] = [0, 1, 2, 3, 4, 5, 6];
  const table = byId("prompt-table"), scroll = byId("prompt-scroll"), more = byId("prompt-more"), status = byId("prompt-status");
  const fields = { text: byId("filter-text"), change: byId("filter-change"), tag: byId("filter-tag"), metric: byId("filter-metric") };
  const others = data.baseline < 0 ? [] : data.systems.map((_, k) => k).filter((k) => k !== data.baseline);
  let sort = null, shown = [], count = 0;

  const option = (select, text, value) => select.append(made("option", text, { value }));
  option(fields.change, "all prompts", "");
  for (const k of others) {
    const name = data.systems[k];
    for (const [word, value] of [["better", 1], ["worse", -1], ["equal", 0]]) option(fields.change, `${name} ${word}`, `${k} ${value}`);
  }
  option(fields.change, "without audio", "absent");
  option(fields.tag, "any", "");
  data.tags.forEach((name, k) => {
    const values = new Set(data.rows.map((row) => row[TAGS][k]).filter((value) => value !== null));
    for (const value of [...values].sort().slice(0, 300)) option(fields.tag, `${name}: ${value}`, `${k} ${value}`);
  });
  byId("filter-tag-label").hidden = fields.tag.options.length < 2;
  data.metrics.forEach((metric, k) => option(fields.metric, metric.label, k));
  fields.metric.value = data.main;

  const metric = () => data.metrics[fields.metric.value];
  const valueOf = (row, system) => row[VALUES][system][fields.metric.value];
  const change = (row, system) => {
    const [old, now] = [valueOf(row, data.baseline), valueOf(row, system)];
    return old === null || now === null ? null : now - old;
  };
  const total = (row) => row[ABSENT].reduce((sum, one) => sum + one, 0);
  const written = (value, signed) => {
    if (value === null) return "–";
    const { unit, digits } = metric();
    const text = Math.abs(unit === "%" ? 100 * value : value).toFixed(digits);
    const sign = Number(text) === 0 ? "" : value < 0 ? "−" : signed ? "+" : "";
    return sign + text + (unit && !(signed && unit === "%") ? ` ${unit}` : "");
  };
  const grade = (value) => Math.sign(value) * (metric().better || 1);

  const columns = () => [
    { name: "Prompt", of: (row) => row[TEXT].toLowerCase() },
    { name: "words", of: (row) => row[WORDS] },
    ...data.systems.map((name, k) => ({ name, of: (row) => valueOf(row, k) })),
    ...others.map((k) => ({ name: `${data.systems[k]} − ${data.systems[data.baseline]}`, of: (row) => change(row, k) })),
    { name: "no audio", of: total },
  ];

  const kept = (row) => {
    const text = fields.text.value.trim().toLowerCase();
    if (text && !row[TEXT].toLowerCase().includes(text) && !row[ID].toLowerCase().includes(text)) return false;
    if (fields.tag.value) {
      const cut = fields.tag.value.indexOf(" ");
      if (String(row[TAGS][fields.tag.value.slice(0, cut)]) !== fields.tag.value.slice(cut + 1)) return false;
    }
    if (fields.change.value === "absent") return total(row) > 0;
    if (fields.change.value) {
      const [system, wanted] = fields.change.value.split(" ").map(Number);
      const found = change(row, system);
      return found !== null && grade(found) === wanted;
    }
    return true;
  };

  const headings = () => {
    const line = made("tr");
    columns().forEach((column, k) => {
      const cell = made("th", undefined, { scope: "col" });
      if (sort && sort.column === k) cell.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
      const button = made("button", column.name, { type: "button" });
      button.addEventListener("click", () => {
        sort = { column: k, down: sort && sort.column === k ? !sort.down : k > 1 };
        update();
        table.tHead.rows[0].cells[k].firstChild.focus();
      });
      cell.append(button);
      line.append(cell);
    });
    table.tHead.replaceChildren(line);
  };

  const line = (row) => {
    const result = made("tr"), head = made("th", undefined, { scope: "row", class: "wrap" });
    if (row[ANCHOR]) head.append(made("a", row[TEXT], { href: `#${row[ANCHOR]}`, title: "listen" })); else head.append(row[TEXT]);
    const tags = data.tags.map((name, k) => [name, row[TAGS][k]]).filter(([, value]) => value !== null);
    head.append(made("small", [row[ID], ...tags.map((pair) => pair.join(": "))].join(" · ")));
    result.append(head, made("td", row[WORDS]));
    data.systems.forEach((_, k) => result.append(made("td", written(valueOf(row, k), false))));
    for (const k of others) {
      const found = change(row, k), word = found && metric().better ? (grade(found) > 0 ? "better" : "worse") : "";
      const sign = word ? { better: "▲ ", worse: "▼ " }[word] : "";
      result.append(made("td", sign + written(found, true), word ? { class: word } : {}));
    }
    result.append(made("td", total(row)));
    return result;
  };

  const grow = () => {
    const rows = document.createDocumentFragment();
    for (const row of shown.slice(count, count + CHUNK)) rows.append(line(row));
    count = Math.min(shown.length, count + CHUNK);
    table.tBodies[0].append(rows);
    more.hidden = count >= shown.length;
    const many = (number) => number.toLocaleString("en");
    status.textContent = `${many(shown.length)} of ${many(data.rows.length)} prompts` +
      (count < shown.length ? `, the first ${many(count)} are drawn` : "");
  };

  const update = () => {
    shown = data.rows.filter(kept);
    if (sort) {
      const { of } = columns()[sort.column], sign = sort.down ? -1 : 1;
      shown = shown.map((row) => [of(row), row]).sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null); // what has no value stands last, whichever way
        return a < b ? -sign : a > b ? sign : 0;
      }).map(([, row]) => row);
    }
    headings();
    table.tBodies[0].replaceChildren();
    count = 0;
    scroll.scrollTop = 0;
    grow();
  };

  const filters = byId("filters");
  filters.addEventListener("input", update);
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("reset", (event) => {
    event.preventDefault();
    fields.text.value = fields.change.value = fields.tag.value = "";
    fields.metric.value = data.main;
    sort = null;
    update();
  });
  more.addEventListener("click", grow);
  scroll.addEventListener("scroll", () => {
    if (count < shown.length && scroll.scrollTop + scroll.clientHeight > scroll.scrollHeight - 400) grow();
  }, { passive: true });
  filters.hidden = false;
  update();
})();
