import type { Command } from "commander";
import { addIndex } from "./build-index.ts";
import { addCache } from "./cache.ts";
import { addClassify } from "./classify.ts";
import { addConvert } from "./convert.ts";
import { addDedupe } from "./dedupe.ts";
import { addDemo } from "./demo.ts";
import { addDownload } from "./download.ts";
import { addEmbed } from "./embed.ts";
import { addEval } from "./eval.ts";
import { addInfo } from "./info.ts";
import { addMerge } from "./merge.ts";
import { addPlan } from "./plan.ts";
import { addSearch } from "./search.ts";
import { addServe } from "./serve.ts";
import { addSort } from "./sort.ts";
import { addStatus } from "./status.ts";
import { addWork } from "./work.ts";

/** Adds every command to `siglip`, in the order of its help; an abort of the signal ends what runs. */
export function addCommands(program: Command, signal: AbortSignal): void {
  addDemo(program, signal);
  addClassify(program, signal);
  addEmbed(program, signal);
  addPlan(program, signal);
  addMerge(program, signal);
  addIndex(program, signal);
  addSearch(program, signal);
  addDedupe(program, signal);
  addSort(program, signal);
  addWork(program, signal);
  addStatus(program);
  addServe(program, signal);
  addEval(program, signal);
  addInfo(program, signal);
  addDownload(program, signal);
  addConvert(program, signal);
  addCache(program);
}
