import { codePoints } from "./tagger.mjs";

/** [start, end, type] of the spans over the words of a sentence of golden.json, or over a text without words. */
export async function answer(tagger, { words, text }) {
  if (words) return (await tagger.tag(words)).map((span) => span.slice(0, 3));
  return codePoints(text, await tagger.predict(text)).map(({ start, end, label }) => [start, end, label]);
}

/** Prints how many of the wanted [start, end, type] were found; returns whether all of them and no others were. */
export function compare(wanted, found) {
  const keys = (rows) => rows.flatMap((spans, row) => spans.map((span) => JSON.stringify([row, ...span])));
  const [want, have] = [keys(wanted), new Set(keys(found))];
  const equal = want.filter((key) => have.has(key)).length;
  console.log(`${equal} of ${want.length} spans equal, ${have.size - equal} others found`);
  return equal === want.length && have.size === equal;
}
