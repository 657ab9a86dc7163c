// node transformers_js.mjs BUNDLE [GOLDEN [ANSWERS]]: like conformance.mjs, with pipeline("token-classification").
//
// It finds the `entities` of golden.json. The pipeline returns no offsets; those of its pieces come from the file.

import { readFile, writeFile } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";

import { env, pipeline } from "@huggingface/transformers";

import { compare } from "./compare.mjs";

const [bundle, golden = `${bundle}/golden.json`, answers] = process.argv.slice(2);
Object.assign(env, { localModelPath: dirname(resolve(bundle)), allowRemoteModels: false, useFSCache: false });
const tag = await pipeline("token-classification", basename(resolve(bundle)), { dtype: "fp32" });
const rows = JSON.parse(await readFile(golden, "utf8"));
const found = [];
for (const { text, offsets } of rows) {
  const entities = [];
  for (const { entity, index } of await tag(text)) {
    const [prefix, type] = [entity[0], entity.slice(2)];
    const last = entities.at(-1);
    if (prefix === "I" && last?.[2] === type) last[1] = offsets[index][1];
    else entities.push([...offsets[index], type]);
  }
  const groups = await tag(text, { aggregation_strategy: "simple" });
  if (groups.map((group) => group.entity_group).join() !== entities.map((entity) => entity[2]).join())
    throw new Error(`aggregation_strategy "simple" groups otherwise: ${JSON.stringify(groups)}`);
  found.push(entities);
}
if (answers) await writeFile(answers, JSON.stringify(found));
process.exitCode = compare(rows.map((row) => row.entities), found) ? 0 : 1;
