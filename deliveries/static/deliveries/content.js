// The page on which a message is written: shows what becomes of it while it is typed, inserts fields at the caret, and
// asks before leaving with texts that are not saved.
(() => {
  "use strict";
  const form = document.getElementById("c-content");
  if (!form) return;
  const WAIT = 500; // milliseconds after the last key
  const byId = (id) => document.getElementById(id);
  const seen = byId("c-seen");
  const fields = [...form.querySelectorAll("input[type=text], textarea")];

  // -- the preview ------------------------------------------------------------------------------------------
  let timer, asking;
  const parts = (root) => new Map([...root.querySelectorAll("[data-part]")].map((one) => [one.dataset.part, one]));
  // What the server sent, part by part: a frame that has not changed is left alone, and does not flicker.
  const sent = new Map([...parts(seen)].map(([name, part]) => [name, part.outerHTML]));

  const show = (html) => {
    const answer = document.createElement("template");
    answer.innerHTML = html;
    const shown = parts(seen);
    for (const [name, part] of parts(answer.content)) {
      if (sent.get(name) === part.outerHTML) continue;
      sent.set(name, part.outerHTML);
      shown.get(name).replaceWith(document.importNode(part, true));
    }
    const summary = seen.querySelector("[data-summary]").dataset.summary;
    if (byId("c-status").textContent !== summary) byId("c-status").textContent = summary;
    fit();
  };

  const refresh = async () => {
    if (asking) asking.abort();
    const mine = (asking = new AbortController());
    try {
      const answer = await fetch(form.dataset.preview, {
        method: "POST", body: new FormData(form), credentials: "same-origin", redirect: "error", signal: mine.signal,
      });
      if (!answer.ok) throw new Error(String(answer.status));
      show(await answer.text());
      byId("c-lost").hidden = true;
    } catch (error) {
      if (mine.signal.aborted) return; // a newer text is on its way
      byId("c-lost").hidden = false;
    }
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(refresh, WAIT);
  };

  // A desktop is wider than the column: its frame is drawn as wide as one, and made smaller as a whole.
  const fit = () => {
    const box = seen.querySelector(".c-view-light");
    if (!box || !box.clientWidth) return;
    const wide = byId("c-view-phone").checked ? 375 : 640;
    seen.style.setProperty("--c-scale", Math.min(1, box.clientWidth / wide));
  };

  // -- fields to insert -------------------------------------------------------------------------------------
  // Where somebody has written or put the caret last. Passing a field with the Tab key, on the way to a button, does
  // not count.
  let last;
  const remember = (field) => {
    last = field;
    byId("c-into").textContent = field.labels[0].textContent;
  };
  for (const field of fields) {
    for (const act of ["input", "pointerup"]) field.addEventListener(act, () => remember(field));
    field.addEventListener("keyup", (event) => {
      if (!["Tab", "Shift"].includes(event.key)) remember(field);
    });
  }
  remember(form.querySelector("[name=html]") || form.querySelector("[name=text]"));

  const insert = (button) => {
    const before = last.value.slice(0, last.selectionStart);
    const inAttribute = /=\s*["'][^"'<>]*$/.test(before);
    const text = last.name === "html" && !inAttribute ? button.dataset.insertHtml : button.dataset.insert;
    last.focus();
    // The way that the undo key of the browser knows; where there is none, the plain one.
    if (!document.execCommand("insertText", false, text)) {
      last.setRangeText(text, last.selectionStart, last.selectionEnd, "end");
      last.dispatchEvent(new Event("input", { bubbles: true }));
    }
  };
  for (const button of form.querySelectorAll("[data-insert]")) button.addEventListener("click", () => insert(button));

  // -- what is not saved ------------------------------------------------------------------------------------
  let unsaved = form.dataset.unsaved === "yes";
  const mark = (is) => {
    unsaved = is;
    byId("c-unsaved").hidden = !is;
  };
  form.addEventListener("input", () => mark(true));
  for (const one of [form, byId("person")]) if (one) one.addEventListener("input", soon);
  form.addEventListener("submit", () => { unsaved = false; });
  window.addEventListener("beforeunload", (event) => {
    if (unsaved) event.preventDefault();
  });
  if (byId("person")) byId("person").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // which would save
    refresh();
  });

  byId("c-insert").hidden = false;
  byId("c-show").hidden = true; // the preview follows by itself
  mark(unsaved);
  for (const radio of document.querySelectorAll("[name=c-view]")) radio.addEventListener("change", fit);
  new ResizeObserver(fit).observe(seen);
  if (byId("c-view-phone") && matchMedia("(max-width: 640px)").matches) byId("c-view-phone").checked = true;
  fit();
})();
