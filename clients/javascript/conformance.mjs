// node conformance.mjs BUNDLE [GOLDEN [ANSWERS]]
//
// Tags the sentences of golden.json, prints how many of their spans are found, and exits with 1 unless all of them and no
// others are. GOLDEN is another file of the same form; its rows may have texts without words, with spans over code points.
// ANSWERS is the file to write [start, end, type] of each found span to.

import { readFile, writeFile } from "node:fs/promises";

import * as ort from "onnxruntime-node";

import { answer, compare } from "./compare.mjs";
import { Tagger } from "./tagger.mjs";

const [bundle, golden = `${bundle}/golden.json`, answers] = process.argv.slice(2);
const tagger = await Tagger.load(ort, async (name) => new Uint8Array(await readFile(`${bundle}/${name}`)));
const rows = JSON.parse(await readFile(golden, "utf8"));
const found = [];
for (const row of rows) found.push(await answer(tagger, row));
if (answers) await writeFile(answers, JSON.stringify(found));
process.exitCode = compare(rows.map((row) => row.spans), found) ? 0 : 1;
