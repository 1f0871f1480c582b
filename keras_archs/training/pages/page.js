for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const heading = button.closest("th"), column = heading.cellIndex;
    const body = heading.closest("table").tBodies[0];
    const first = heading.classList.contains("text") ? "ascending" : "descending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = heading.getAttribute("aria-sort") === first ? other : first;
    for (const cell of heading.parentElement.cells) cell.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const sign = order === "ascending" ? 1 : -1;
    const compare = (a, b) => sign * key(a).localeCompare(key(b), undefined, { numeric: true });
    body.append(...[...body.rows].sort(compare));
  });
}
