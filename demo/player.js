// The players of the page. One sound plays at a time, and goes on when Gradio draws the page anew around it.
"use strict";
(() => {
  const sound = new Audio();
  const opened = new Set(); // folded parts that the listener has unfolded, by key
  let key = null, drag = null, focus = null;

  const clipOf = (node) => node instanceof Element ? node.closest(".clip") : null;
  const clips = () => document.querySelectorAll(".clip");
  const secondsOf = (clip) => Number(clip.dataset.seconds) || 0;
  const isOn = (clip) => clip.dataset.key === key;

  const show = (clip) => {
    const on = isOn(clip), at = on ? Math.min(sound.currentTime, secondsOf(clip)) : 0, playing = on && !sound.paused;
    const button = clip.querySelector(".play"), range = clip.querySelector("input"), line = clip.querySelector(".playhead");
    clip.classList.toggle("playing", playing);
    clip.classList.toggle("started", on);
    const label = button.getAttribute("aria-label").replace(/^(Play|Pause) /, "");
    const wanted = `${playing ? "Pause" : "Play"} ${label}`;
    if (button.getAttribute("aria-label") !== wanted) button.setAttribute("aria-label", wanted);
    if (drag !== range) range.value = String(at);
    clip.querySelector(".now").textContent = at.toFixed(2);
    range.setAttribute("aria-valuetext", `${at.toFixed(2)} of ${secondsOf(clip).toFixed(2)} seconds`);
    if (line) {
      const width = Number(line.closest("svg").dataset.width) || 0;
      line.setAttribute("transform", `translate(${(width * at / (secondsOf(clip) || 1)).toFixed(1)} 0)`);
    }
  };
  const showAll = () => { for (const clip of clips()) show(clip); };

  const take = (clip) => {
    if (isOn(clip)) return;
    sound.pause();
    key = clip.dataset.key;
    sound.src = clip.dataset.src;
  };
  const start = () => sound.play().catch(() => showAll());
  const seek = (clip, seconds) => {
    take(clip);
    const go = () => { sound.currentTime = Math.max(0, Math.min(seconds, secondsOf(clip) - 0.01)); showAll(); };
    if (sound.readyState > 0) go(); else sound.addEventListener("loadedmetadata", go, { once: true });
  };

  const tick = () => { showAll(); if (!sound.paused) requestAnimationFrame(tick); };
  sound.addEventListener("play", tick);
  for (const name of ["pause", "ended", "seeked"]) sound.addEventListener(name, showAll);

  document.addEventListener("click", (event) => {
    const clip = clipOf(event.target);
    if (!clip) return;
    if (event.target.closest(".play")) {
      if (isOn(clip) && !sound.paused) { sound.pause(); return; }
      take(clip);
      start();
    } else if (event.target.closest("svg.sound")) {
      const picture = event.target.closest("svg.sound"), box = picture.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width * picture.viewBox.baseVal.width / (Number(picture.dataset.width) || 1);
      seek(clip, Math.min(1, share) * secondsOf(clip));
      start();
    }
  });
  document.addEventListener("input", (event) => {
    const clip = clipOf(event.target);
    if (clip && event.target.type === "range") { drag = event.target; seek(clip, Number(event.target.value)); }
  });
  document.addEventListener("change", (event) => { if (event.target === drag) { drag = null; showAll(); } });

  // Gradio replaces HTML as a whole: what was unfolded, focused or playing stays so.
  const place = (node) => {
    const clip = clipOf(node);
    return clip ? [clip.dataset.key, node.className || node.tagName] : null;
  };
  document.addEventListener("focusin", (event) => { focus = place(event.target); });
  document.addEventListener("toggle", (event) => {
    const name = event.target instanceof Element ? event.target.dataset.key : null;
    if (name) { if (event.target.open) opened.add(name); else opened.delete(name); }
  }, true);
  const renewed = (node) => node instanceof Element && (node.matches(".clip, details[data-key]") || node.querySelector(".clip, details[data-key]"));
  new MutationObserver((changes) => {
    if (!changes.some((change) => [...change.addedNodes].some(renewed))) return;
    for (const details of document.querySelectorAll("details[data-key]")) {
      if (opened.has(details.dataset.key) && !details.open) details.open = true;
    }
    showAll();
    if (focus && document.activeElement === document.body) {
      for (const clip of clips()) {
        if (clip.dataset.key !== focus[0]) continue;
        for (const node of clip.querySelectorAll("button, input, a")) if ((node.className || node.tagName) === focus[1]) node.focus();
      }
    }
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
