"use strict";
// Filter, sort and open the questions. Without this script all of them stand there, opened.
document.documentElement.classList.add("scripted");
const table = document.getElementById("questions");
const bodies = Array.from(table.tBodies);
const form = document.querySelector(".filters");
const openAll = document.getElementById("open");

function filter() {
  const words = document.getElementById("find").value.toLowerCase();
  const chosen = Array.from(form.querySelectorAll("select")).filter((select) => select.value);
  for (const body of bodies) {
    const fits = chosen.every((select) => body.dataset[select.dataset.filter] === select.value);
    body.hidden = !(fits && body.rows[0].textContent.toLowerCase().includes(words));
  }
  document.getElementById("shown").value = `${bodies.filter((body) => !body.hidden).length} of ${bodies.length} questions`;
}

function sort(head) {
  const column = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = (body) => body.rows[0].cells[column].dataset.value;
  const compare = (one, other) => head.classList.contains("number")
    ? value(one) - value(other)
    : value(one).localeCompare(value(other), undefined, { numeric: true });
  bodies.sort((one, other) => (down ? compare(other, one) : compare(one, other)));
  table.append(...bodies);
}

function open(body, opened) {
  const opener = body.querySelector(".opener");
  if (!opener) return;
  opener.setAttribute("aria-expanded", opened);
  body.rows[1].hidden = !opened;
}

form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
openAll.addEventListener("click", () => {
  const opened = openAll.textContent === "open all";
  bodies.filter((body) => !body.hidden).forEach((body) => open(body, opened));
  openAll.textContent = opened ? "close all" : "open all";
});
table.addEventListener("click", (event) => {
  const head = event.target.closest("thead th");
  const opener = event.target.closest(".opener");
  if (head) sort(head);
  if (opener) open(opener.closest("tbody"), opener.getAttribute("aria-expanded") === "false");
});
