// The browser of errors: filters and draws the sentences of #errors-data. All text is set as text, never as HTML.
// A row is [file, line, document, words, gold spans, predicted spans, errors]; see tagging_errors.py.
"use strict";

const source = document.getElementById("errors-data");
if (source) browse(JSON.parse(source.textContent));

function browse({ kinds, types, files, rows }) {
  const PAGE = 20;
  const control = (name) => document.getElementById(`by-${name}`);
  const fields = ["text", "kind", "gold", "predicted", "seen", "document", "order"];
  const list = document.getElementById("sentences"), more = document.getElementById("more");
  let found = [], shown = 0;

  const documentOf = ([file, , doc]) => (doc === null ? `${file}` : `${file}:${doc}`);
  const nameOf = ([file, , doc]) => (doc === null ? files[file] : `${files[file]}, document ${doc + 1}`);

  function choices(name, options) {
    for (const [value, text] of options) control(name).append(new Option(text, value));
  }
  const knowsSeen = rows.some((row) => row[6].some((error) => error[3] !== null));
  const scored = rows.some((row) => row[5].some((span) => span[3] !== null));
  choices("kind", [["", "all kinds"], ...kinds.map((kind, n) => [n, kind])]);
  choices("gold", [["", "any"], ["-1", "none (spurious)"], ...types.map((type, n) => [n, type])]);
  choices("predicted", [["", "any"], ["-1", "none (missed)"], ...types.map((type, n) => [n, type])]);
  choices("seen", [["", "seen or unseen"], ["1", "seen in train"], ["0", "new to train"]]);
  choices("document", [["", "all documents"], ...new Map(rows.map((row) => [documentOf(row), nameOf(row)]))]);
  choices("order", [["", "as in the file"], ["sure", "most certain errors first"], ["many", "most errors first"]]);
  control("seen").parentElement.hidden = !knowsSeen;
  control("order").querySelector("[value=sure]").hidden = !scored;

  const typeOf = (spans, index) => (index < 0 ? -1 : spans[index][2]);
  const certainty = (row) => Math.max(0, ...row[6].map((error) => (error[2] < 0 ? 0 : row[5][error[2]][3] ?? 0)));

  function filter() {
    const chosen = Object.fromEntries(fields.map((name) => [name, control(name).value]));
    const text = chosen.text.trim().toLowerCase();
    const fits = (row) => (error) =>
      (chosen.kind === "" || error[0] === Number(chosen.kind)) &&
      (chosen.gold === "" || typeOf(row[4], error[1]) === Number(chosen.gold)) &&
      (chosen.predicted === "" || typeOf(row[5], error[2]) === Number(chosen.predicted)) &&
      (chosen.seen === "" || error[3] === Number(chosen.seen));
    found = rows
      .filter((row) => chosen.document === "" || documentOf(row) === chosen.document)
      .filter((row) => text === "" || `${row[3].join(" ")} ${files[row[0]]}:${row[1]}`.toLowerCase().includes(text))
      .map((row) => [row, row[6].filter(fits(row))])
      .filter(([, errors]) => errors.length);
    if (chosen.order === "sure") found.sort(([a], [b]) => certainty(b) - certainty(a));
    if (chosen.order === "many") found.sort(([, a], [, b]) => b.length - a.length);
    const errors = found.reduce((sum, [, part]) => sum + part.length, 0);
    const count = (number, name) => `${number.toLocaleString("en")} ${name}${number === 1 ? "" : "s"}`;
    document.getElementById("found").textContent = `${count(errors, "error")} in ${count(found.length, "sentence")}`;
    shown = 0;
    list.replaceChildren();
    show();
  }

  function show() {
    const part = found.slice(shown, shown + PAGE);
    list.append(...part.map(([row, errors]) => sentence(row, errors)));
    shown += part.length;
    more.hidden = shown >= found.length;
    more.textContent = `Show ${Math.min(PAGE, found.length - shown)} more of ${(found.length - shown).toLocaleString("en")}`;
  }

  function element(tag, attributes, ...children) {
    const made = Object.assign(document.createElement(tag), attributes);
    made.append(...children);
    return made;
  }

  // The words with a mark for each gold span that is right or not predicted so, and for each wrong predicted one.
  // Marks of spans that overlap stand inside each other where they nest; otherwise the later one is cut in two.
  function words(row) {
    const [, , , text, gold, predicted] = row;
    const same = (a, b) => a[0] === b[0] && a[1] === b[1] && a[2] === b[2];
    const marks = [
      ...gold.map((span) => ({ span, kind: predicted.some((other) => same(span, other)) ? "right" : "gold" })),
      ...predicted.filter((span) => !gold.some((other) => same(span, other))).map((span) => ({ span, kind: "predicted" })),
    ].sort((a, b) => a.span[0] - b.span[0] || b.span[1] - a.span[1]);
    const line = element("p", { className: "words", dir: "auto" });
    const open = [{ node: line, end: Infinity }];
    const close = (word) => {
      while (open.at(-1).end <= word) finish(open.pop());
    };
    const finish = ({ node, mark }) => {
      if (!mark) return;
      const score = mark.kind === "predicted" && mark.span[3] !== null ? ` ${mark.span[3].toFixed(2)}` : "";
      node.append(element("i", {}, types[mark.span[2]] + score));
    };
    let next = 0;
    text.forEach((word, n) => {
      close(n);
      if (n) open.at(-1).node.append(" ");
      for (; next < marks.length && marks[next].span[0] === n; next++) {
        const mark = marks[next];
        const node = element("mark", { className: mark.kind });
        node.append(element("span", { className: "hidden" }, `[${mark.kind === "right" ? "right" : mark.kind} `));
        const outer = open.at(-1);
        if (mark.span[1] > outer.end) splice(mark, outer.end);
        outer.node.append(node);
        open.push({ node, end: Math.min(mark.span[1], outer.end), mark });
      }
      open.at(-1).node.append(word);
    });
    close(text.length);
    return line;

    function splice(mark, begin) {
      const rest = { kind: mark.kind, span: [begin, ...mark.span.slice(1)] };
      const place = marks.findIndex((other, index) => index > next && other.span[0] >= begin);
      marks.splice(place < 0 ? marks.length : place, 0, rest);
    }
  }

  function quote(row, span) {
    return [element("b", {}, types[span[2]]), " “", element("bdi", {}, row[3].slice(span[0], span[1]).join(" ")), "”"];
  }

  function describe(row, [kind, g, p, seen]) {
    const gold = row[4][g], predicted = row[5][p];
    const said = {
      missed: () => ["gold ", ...quote(row, gold), " was not found"],
      spurious: () => ["predicted ", ...quote(row, predicted), ", where no entity is"],
      "wrong type": () => [...quote(row, predicted), " is ", element("b", {}, types[gold[2]]), " in gold"],
      "wrong boundaries": () => ["predicted ", ...quote(row, predicted), ", gold ", ...quote(row, gold)],
    }[kinds[kind]]();
    const novelty = seen === null ? [] : [element("span", { className: "soft" }, seen ? " · seen in train" : " · new to train")];
    return element("li", {}, element("span", { className: "badge" }, kinds[kind]), ...said, ...novelty);
  }

  function sentence(row, errors) {
    const [file, line] = row;
    const place = `${files[file]}:${line}`;
    const target = /^(\/|[a-z]+:)/i.test(files[file]) ? null : "../" + files[file].split("/").map(encodeURIComponent).join("/") + `#L${line}`;
    const link = target && location.protocol === "file:" ? element("a", { href: target }, place) : element("span", {}, place);
    const where = element("p", { className: "place" }, link, row[2] === null ? "" : ` · document ${row[2] + 1}`);
    return element("article", {}, where, words(row), element("ul", {}, ...errors.map((error) => describe(row, error))));
  }

  // A confusion of two types becomes a button that shows its errors.
  document.querySelectorAll("#types-heat td[data-gold]").forEach((cell) => {
    const { gold, predicted } = cell.dataset;
    const button = element("button", { type: "button", title: `Show the errors: gold ${gold}, predicted ${predicted}` }, ...cell.childNodes);
    button.addEventListener("click", () => {
      clear();
      control("kind").value = kinds.indexOf("wrong type");
      control("gold").value = types.indexOf(gold);
      control("predicted").value = types.indexOf(predicted);
      filter();
      document.getElementById("errors").scrollIntoView();
      control("gold").focus({ preventScroll: true });
    });
    cell.append(button);
  });

  function clear() {
    for (const name of fields) control(name).value = "";
  }
  document.getElementById("clear").addEventListener("click", () => { clear(); filter(); });
  more.addEventListener("click", () => {
    const first = list.children.length;
    show();
    list.children[first]?.querySelector("a")?.focus();
  });
  for (const name of fields) control(name).addEventListener("input", filter);
  document.getElementById("browser").hidden = false;
  filter();
}
