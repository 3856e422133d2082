import { announce } from "./announce.ts";
import { startModels } from "./models/models.ts";
import { startOffline } from "./offline.ts";
import { route } from "./router.ts";

// The demo model starts to load before anything else is done.
const { model, onModel } = startModels();
const context = { model, onModel, announce };

route({
  classify: async (root) => (await import("./classify/index.ts")).mountClassify(root, context),
  search: async (root) => (await import("./search/index.ts")).mountSearch(root, context),
  bench: async (root) => {
    const { mountBench } = await import("./bench/index.ts");
    mountBench(root.querySelector<HTMLElement>(".mount")!, context);
    return undefined;
  },
});
startOffline();
