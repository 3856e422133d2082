import { ATTENTION_CASES, attentionOnUnits, LINEAR_CASES, linearOnUnits } from "./matrix-emulation.ts";

for (const one of LINEAR_CASES) linearOnUnits(one);
for (const one of ATTENTION_CASES) attentionOnUnits(one);
