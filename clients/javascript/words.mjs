// Splits a text into words by the rule unicode-2 of fpplm_core/tagging/words.py, which has the reasons.
//
// JavaScript has no \p{WB=…}, \X, possessive quantifiers or (*SKIP): sets of properties, Intl.Segmenter and lookaheads
// replace them. Both implementations follow the Unicode version of their engine, so the newest characters may differ.

// White space as Python's `re` knows it: \s of JavaScript lacks U+001C to U+001F and U+0085, and has U+FEFF.
const STRETCH = /[^\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/gu;
const UNSPACED = String.raw`[\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d
  \u{20000}-\u{323af}\u0e00-\u0eff\u1000-\u109f\ua9e0-\ua9fe\uaa60-\uaa7f\u1780-\u17ff\p{Script=Han}]`;
const PREFIX = String.raw`[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\u{110bd}\u{110cd}\u{111c2}\u{111c3}
  \u{113d1}\u{1193f}\u{11941}\u{11a84}-\u{11a89}\u{11d46}\u{11f02}]`; // GCB=Prepend
const ALPHABETIC = String.raw`[\xb8\u02c2-\u02c5\u02d2-\u02d7\u02de\u02df\u02e5-\u02eb\u02ed\u02ef-\u02ff\u055a-\u055c
  \u055e\u058a\u05f3\u066b\ua708-\ua716\ua720\ua721\ua789\ua78a\uab5b]`; // in WB=ALetter or WB=Numeric, without a property
const LETTER = String.raw`[[\p{L}\p{N}[\p{Alphabetic}--\p{M}]${ALPHABETIC}]
  --${UNSPACED}--\p{Extended_Pictographic}--${PREFIX}]`;
const EXTEND = String.raw`[\p{Grapheme_Extend}\p{Mc}\p{Emoji_Modifier}\u200d\u0e33\u0eb3]`;
const FORMAT = String.raw`[[\p{Cf}\u200b]--${PREFIX}--\p{Join_Control}--[\u{e0020}-\u{e007f}]]`;
const SILENT = `[[${EXTEND}${FORMAT}]--${LETTER}]*(?![[${EXTEND}${FORMAT}]--${LETTER}])`;
const LETTERS = `${PREFIX}*${LETTER}+`;
const CLITIC = String.raw`['’](?:[sSſ]|[rR][eE]|[vV][eE]|[lL][lL]|[dD]|[mM]|[tT])
  (?![\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}])`;
const HEBREW = String.raw`[\p{Script=Hebrew}&&\p{Lo}]`;
const APOSTROPHE = String.raw`(?<!\p{N})(?!${CLITIC})['’‘＇·\u0387\u055f\u05f4\u2027]
  (?=${SILENT}[${LETTER}--\p{N}])${SILENT}`;

const stick = (source, flags = "") => new RegExp(source.replace(/\n\s*/g, ""), `vy${flags}`);
const STARTS_CLUSTER = stick(String.raw`${UNSPACED}|[0-9#*]\ufe0f?\u20e3`);
const UNSPACED_HERE = stick(UNSPACED);
const EXTEND_HERE = stick(EXTEND);
const CLITIC_HERE = stick(CLITIC);
const ELIDED = stick(
  "(?:[cdjlmnst]|(?:jus|lors|puis|quoi)?qu|(?:a|da|de|ne|su)ll)['’](?=[haeiouİàâäáèéêëìîïíòôöóùûüúœæ])", "i");
const WORD = stick(String.raw`${LETTERS}(?:${SILENT}
  (?:[\-.,:\/@&+_]${SILENT}|${APOSTROPHE}|(?<=[${HEBREW}\p{M}])"(?=${HEBREW}))?
  ${LETTERS})*${EXTEND}*`);
const JOINS_NOTHING = stick(String.raw`[\p{DI}&&${EXTEND}]+(?!${EXTEND})`);
const FLAG = stick(String.raw`\p{RI}{2}${EXTEND}*`);
const FORMAT_HERE = stick(FORMAT);
const CLUSTERS = new Intl.Segmenter("en", { granularity: "grapheme" });

/** [start, end] of each word, in UTF-16 units of `text`, from left to right. */
export function segment(text) {
  const ranges = [];
  for (const { 0: stretch, index } of text.matchAll(STRETCH)) {
    const clusters = CLUSTERS.segment(stretch);
    for (let at = 0; at < stretch.length; ) {
      const { end, isWord } = next(stretch, at, clusters);
      if (isWord) ranges.push([index + at, index + end]);
      at = end;
    }
  }
  return ranges;
}

/** The end of what starts at `at`, and whether that is a word. */
function next(text, at, clusters) {
  const end = (pattern, from = at) => ((pattern.lastIndex = from), pattern.test(text) ? pattern.lastIndex : 0);
  const cluster = (from) => {
    const { index, segment } = clusters.containing(from);
    return index + segment.length;
  };
  const word = (end) => ({ end, isWord: true });
  let found = end(CLITIC_HERE) || end(ELIDED);
  if (found) return word(found);
  if (end(STARTS_CLUSTER)) {
    found = cluster(at);
    if (end(UNSPACED_HERE)) while (end(EXTEND_HERE, found)) found = cluster(found);
    return word(found);
  }
  if ((found = end(WORD))) return word(found);
  if ((found = end(JOINS_NOTHING))) return { end: found, isWord: false };
  if ((found = end(FLAG))) return word(found);
  if ((found = end(FORMAT_HERE))) return { end: found, isWord: false };
  return word(cluster(at));
}
