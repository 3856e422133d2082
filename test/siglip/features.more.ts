import { holdFeatures } from "./pool-attention.ts";

holdFeatures(["webgpu"]);
