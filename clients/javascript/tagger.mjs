// Tags texts with a bundle of fpplm: words, pieces, windows, ONNX Runtime, Viterbi, spans.
//
//   import * as ort from "onnxruntime-node"; // in a page: "onnxruntime-web"
//   const tagger = await Tagger.load(ort, async (name) => new Uint8Array(await readFile(`bundle/${name}`)));
//   await tagger.predict("Angela Merkel visited Paris.");
//   // [{ text: "Angela Merkel", label: "PER", start: 0, end: 13, score: 0.98 }, …]
//
// `start` and `end` count UTF-16 units, as String.slice does; codePoints() converts them to code points, as Python has.
// Each text is tagged by itself: a tagger trained with `encode.context` sees no neighbouring texts.

import { Tokenizer } from "@huggingface/tokenizers";

import { segment } from "./words.mjs";

const RULE = "unicode-2";
const UNKNOWN = ["[UNK]", "<unk>"];
const FILLERS = [...UNKNOWN, "[MASK]", "<mask>", "<|endoftext|>", "[PAD]", "<pad>"];
const DIGIT = new RegExp( // Numeric_Type=Decimal or Digit
  String.raw`[\p{Nd}²³¹\u1369-\u1371\u19da\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c\u2488-\u2490\u24ea` +
  String.raw`\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792\u{10a40}-\u{10a43}\u{10e60}-\u{10e68}` +
  String.raw`\u{11052}-\u{1105a}\u{1f100}-\u{1f10a}]`, "v");

export class Tagger {
  /** Opens a bundle. `read(name)` resolves to the bytes of one of its files; `graph` is a file that config.json names. */
  static async load(ort, read, graph = "onnx/model.onnx") {
    const [config, tokenizer] = await Promise.all(
      ["config.json", "tokenizer.json"].map(async (name) => JSON.parse(new TextDecoder().decode(await read(name)))));
    if (!config.fpplm) throw new Error("the bundle has format 1: make it again with this version of fpplm");
    if (config.fpplm.label_lm.use) throw new Error("the bundle uses a label language model, which is not run here");
    return new Tagger(ort, config.fpplm, tokenizer, await ort.InferenceSession.create(await read(graph)));
  }

  constructor(ort, config, tokenizer, session) {
    Object.assign(this, { ort, config, session, cache: new Map() });
    if (config.lower_case) tokenizer.normalizer.lowercase = true; // the capitals serve clients without word shapes
    this.lowers = lowers(tokenizer.normalizer);
    const whole = new Tokenizer(tokenizer, {});
    const special = tokenizer.added_tokens.filter((token) => token.special);
    // The word [SEP] is text, so words are not searched for special pieces.
    this.tokenizer = new Tokenizer(
      { ...tokenizer, added_tokens: tokenizer.added_tokens.filter((token) => !token.special) }, {});
    const bare = this.tokenizer.encode("a", { add_special_tokens: false }).ids;
    const framed = whole.encode("a").ids;
    const at = framed.findIndex((_, i) => bare.every((id, j) => framed[i + j] === id));
    this.prefix = framed.slice(0, at);
    this.suffix = framed.slice(at + bare.length);
    this.room = config.window - this.prefix.length - this.suffix.length;
    this.special = new Set([...special.map((token) => token.id), ...this.prefix, ...this.suffix]);
    for (const token of UNKNOWN) this.special.delete(whole.token_to_id(token));
    this.filler = FILLERS.map((token) => whole.token_to_id(token)).find((id) => id !== undefined) ?? 0;
  }

  /** The entities of a text, with offsets in UTF-16 units and the mean probability of their words' tags. */
  async predict(text) {
    if (this.config.words !== RULE) throw new Error(`${this.config.words} is not known here: pass words to tag()`);
    const ranges = segment(text);
    const spans = await this.tag(ranges.map(([start, end]) => text.slice(start, end)));
    return spans.map(([first, last, label, score]) => {
      const [start, end] = [ranges[first][0], ranges[last - 1][1]];
      return { text: text.slice(start, end), label, start, end, score };
    });
  }

  /** [start, end, type, score] of each entity over the words of a sentence. */
  async tag(words) {
    const rows = await this.logits(words);
    const path = viterbi(rows, this.config.transitions);
    const spans = spansOf(path.map((label) => this.config.labels[label]));
    const sure = rows.map((row, word) => softmax(row)[path[word]]);
    return spans.map(([start, end, type]) => {
      const scores = sure.slice(start, end);
      return [start, end, type, scores.reduce((sum, score) => sum + score) / scores.length];
    });
  }

  /** The logits of the labels for each word. */
  async logits(words) {
    const pieces = words.map((word) => this.pieces(word));
    const rows = new Array(words.length);
    for (const { start, end, low, high } of windows(pieces.map((ids) => ids.length), this.room, this.config.stride)) {
      const ids = [...this.prefix], types = this.prefix.map(() => 0), first = [];
      for (let word = start; word < end; word++) {
        first.push(ids.length);
        ids.push(...pieces[word]);
        types.push(...pieces[word].map(() => (this.config.first_shape ?? 0) + wordShape(words[word])));
      }
      ids.push(...this.suffix);
      types.push(...this.suffix.map(() => 0));
      const { data, dims } = await this.run(ids, types);
      for (let word = low; word < high; word++) {
        const at = first[word - start] * dims[2];
        rows[word] = data.slice(at, at + dims[2]);
      }
    }
    return rows;
  }

  async run(ids, types) {
    const tensor = (row) => new this.ort.Tensor("int64", BigInt64Array.from(row, BigInt), [1, row.length]);
    const inputs = { input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) };
    if (this.session.inputNames.includes("token_type_ids")) inputs.token_type_ids = tensor(types);
    return (await this.session.run(inputs, ["tag_logits"])).tag_logits;
  }

  /** The pieces of a word: at least one, and at most as many as fit into a window. */
  pieces(word) {
    if (!this.cache.has(word)) {
      const encode = (text) => this.tokenizer.encode(text, { add_special_tokens: false }).ids;
      let readable = word.replace(/\p{Surrogate}/gu, "?"); // half a surrogate pair is not text
      // One by one, as training did: in a whole word, the last Σ would become ς.
      if (this.lowers) readable = Array.from(readable, (character) => character.toLowerCase()).join("");
      let ids = encode(readable);
      if (ids.some((id) => this.special.has(id)))
        ids = Array.from(readable).flatMap(encode).filter((id) => !this.special.has(id));
      if (this.cache.size >= 100_000) this.cache.clear();
      this.cache.set(word, ids.length ? ids.slice(0, this.room) : [this.filler]);
    }
    return this.cache.get(word);
  }
}

/** Entities with offsets in code points, as Python counts them, instead of UTF-16 units. */
export function codePoints(text, entities) {
  const counts = [0]; // the code points that begin before each UTF-16 unit
  for (const character of text) {
    const count = counts.at(-1) + 1;
    for (let unit = 0; unit < character.length; unit++) counts.push(count);
  }
  return entities.map((entity) => ({ ...entity, start: counts[entity.start], end: counts[entity.end] }));
}

/** Whether a normalizer of tokenizer.json writes words in lower case. */
function lowers(normalizer) {
  if (normalizer?.type === "Sequence") return normalizer.normalizers.some(lowers);
  return normalizer?.type === "Lowercase" || (normalizer?.type === "BertNormalizer" && normalizer.lowercase);
}

/** How a word is written: lower, Title, UPPER, Initial, miXed, digit or other, as a number from 0 to 6. */
function wordShape(word) {
  if (DIGIT.test(word)) return 5;
  const letters = word.match(/\p{L}/gu) ?? [];
  if (!letters.length) return 6;
  const upper = letters.map((letter) => /\p{Uppercase}/u.test(letter));
  if (!upper.includes(true)) return 0;
  if (!upper.includes(false)) return upper.length > 1 ? 2 : 3;
  return upper[0] && !upper.includes(true, 1) ? 1 : 4;
}

/** Overlapping windows over words of these numbers of pieces: each shows `start` to `end` and labels `low` to `high`. */
function windows(lengths, room, stride) {
  const ends = [];
  for (const length of lengths) ends.push((ends.at(-1) ?? 0) + length);
  const count = (limit) => {
    const at = ends.findIndex((end) => end > limit);
    return at < 0 ? ends.length : at;
  };
  const bounds = [];
  for (let start = 0, end = 0; end < lengths.length; ) {
    end = count((ends[start - 1] ?? 0) + room);
    bounds.push({ start, end });
    start = Math.min(Math.max(count(ends[end - 1] - stride), start + 1), end);
  }
  // Two neighbouring windows share the words that both show: each labels its half.
  const border = (i) => (i < bounds.length ? Math.floor((bounds[i].start + bounds[i - 1].end + 1) / 2) : lengths.length);
  return bounds
    .map((bound, i) => ({ ...bound, low: i ? border(i) : 0, high: border(i + 1) }))
    .filter(({ low, high }) => low < high);
}

function softmax(row) {
  const highest = Math.max(...row);
  const shares = Array.from(row, (value) => Math.exp(value - highest));
  const total = shares.reduce((sum, share) => sum + share);
  return shares.map((share) => share / total);
}

/** The best path of labels; the last row and column of `scores` are the start and end of a sentence. */
export function viterbi(rows, scores) {
  if (!rows.length) return [];
  const edge = scores.length - 1;
  let best = Array.from(rows[0], (value, label) => value + scores[edge][label]);
  const back = [];
  for (const row of rows.slice(1)) {
    const from = Array.from(row, (_, label) => argmax(best.map((score, before) => score + scores[before][label])));
    best = from.map((before, label) => best[before] + scores[before][label] + row[label]);
    back.push(from);
  }
  const path = [argmax(best.map((score, label) => score + scores[label][edge]))];
  for (const from of back.reverse()) path.push(from[path.at(-1)]);
  return path.reverse();
}

const argmax = (values) => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);

/** [start, end, type] of the entities of BIOES tags; an I or E without a beginning begins one. */
function spansOf(tags) {
  const spans = [];
  let open = null;
  tags.forEach((tag, word) => {
    const [prefix, type] = [tag[0], tag.slice(2)];
    if ("IE".includes(prefix) && type === open) spans.at(-1)[1] = word + 1;
    else if (prefix !== "O") spans.push([word, word + 1, type]);
    open = "BI".includes(prefix) ? type : null;
  });
  return spans;
}
