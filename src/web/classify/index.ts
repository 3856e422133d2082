import { DEFAULT_TEMPLATE, type Embeddings } from "../../index.ts";
import type { AppContext } from "../context.ts";
import { byId, make, sentence } from "../dom.ts";
import type { Picture, RemoteModel } from "../models/remote.ts";
import { TextCache } from "../models/texts.ts";
import { drawBars, formatPercent } from "./bars.ts";
import { Camera } from "./camera.ts";
import { EXAMPLES, type Example } from "./examples.ts";
import { readClipboard, takePictures } from "./pictures.ts";
import { drawHeat } from "./where.ts";

/** How long typing rests before texts are embedded, in milliseconds. */
const REST = 120;

/** View 1: the probabilities of typed labels for a picture, or for what the camera sees. */
export function mountClassify(root: HTMLElement, context: AppContext): () => void {
  const labels = byId("labels", HTMLTextAreaElement);
  const template = byId("template", HTMLInputElement);
  const picture = byId("picture", HTMLImageElement);
  const video = byId("video", HTMLVideoElement);
  const bars = byId("bars", HTMLElement);
  const heat = byId("heat", HTMLCanvasElement);
  const status = byId("classify-status", HTMLElement);
  const cameraButton = byId("camera", HTMLButtonElement);

  let texts: TextCache | undefined;
  let model: RemoteModel | undefined;
  /** The picture's embedding, made once for all labels that are typed. */
  let image: Promise<Embeddings> | undefined;
  let shown: Blob | undefined;
  /** The label whose place in the picture is shown. */
  let chosen: string | undefined;
  let camera: Camera | undefined;
  /** Counts what is scored, and what is shown: of several that overlap, the last counts. */
  let turn = 0;
  let picked = 0;

  template.value = DEFAULT_TEMPLATE;

  function say(text: string, failed = false): void {
    status.textContent = text;
    status.classList.toggle("failed", failed);
  }

  /**
   * Scores the labels against an embedded picture; what is overtaken by a newer call is not shown. Gives whether the bars
   * are those of this call, with nothing to object.
   */
  async function score(embedded: Promise<Embeddings>): Promise<boolean> {
    const mine = ++turn;
    const asked = [
      ...new Set(
        labels.value
          .split("\n")
          .map((line) => line.trim())
          .filter(Boolean),
      ),
    ];
    if (asked.length === 0) {
      drawBars(bars, []);
      say("Type at least one label.");
      return false;
    }
    const sentences = asked.map((label) => template.value.replaceAll("{label}", () => label));
    bars.classList.add("stale");
    try {
      const [a, b] = await Promise.all([embedded, texts!.embed(sentences)]);
      const { probabilities } = await model!.similarity(a, b);
      if (mine !== turn) return false;
      drawBars(
        bars,
        asked.map((label, index) => ({ label, probability: probabilities[index] })),
        chosen,
      );
      bars.classList.remove("stale");
      const best = probabilities.indexOf(Math.max(...probabilities));
      context.announce(`${asked[best]}: ${formatPercent(probabilities[best])}`);
      if (!template.value.includes("{label}")) {
        say("The sentence has no {label} in it, so all labels get the same.", true);
        return false;
      }
      if (!camera) say("");
      return true;
    } catch (error) {
      if (mine === turn) say(sentence(error), true);
      return false;
    }
  }

  /** Shows where in the picture a label is, or nothing. */
  async function locate(label?: string): Promise<void> {
    // What the camera sees is gone before it has been looked through.
    chosen = camera ? undefined : label;
    heat.hidden = true;
    for (const button of bars.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.textContent === chosen));
    }
    const [asked, file] = [model, shown];
    if (label === undefined || label !== chosen || !asked || !file) return;
    say("Looking where it is …");
    try {
      const map = await asked.locate(file, label, template.value);
      if (chosen !== label || shown !== file || model !== asked) return;
      drawHeat(heat, picture, map);
      say(`Red is where “${label}” is: what the model leans on for it.`);
    } catch (error) {
      if (chosen === label) say(sentence(error), true);
    }
  }

  function show(file: Blob, text: string): void {
    picked++;
    stopCamera();
    void locate();
    shown = file;
    URL.revokeObjectURL(picture.src);
    picture.src = URL.createObjectURL(file);
    picture.alt = text;
    embed(file);
  }

  function embed(source: Picture): void {
    if (!model) return;
    say("Looking …");
    const mine = model.embedImages([source]);
    image = mine;
    // Without labels nobody else awaits it.
    mine.catch((error) => image === mine && say(sentence(error), true));
    void score(mine);
  }

  async function showExample({ file, shows, labels: asked }: Example): Promise<void> {
    const mine = ++picked;
    labels.value = asked.join("\n");
    try {
      const blob = await (await fetch(`examples/${file}`)).blob();
      if (mine === picked) show(blob, shows);
    } catch (error) {
      say(sentence(error), true);
    }
  }

  async function toggleCamera(): Promise<void> {
    if (camera) return stopCamera();
    try {
      camera = await Camera.start(video);
    } catch (error) {
      return say(sentence(error), true);
    }
    void locate();
    // What was wrong with a picture before has nothing to do with what is seen now.
    say("");
    cameraButton.setAttribute("aria-pressed", "true");
    video.hidden = false;
    picture.hidden = true;
    const mine = camera;
    let before = performance.now();
    await mine.frames(async (frame) => {
      image = model!.embedImages([frame], [frame]);
      const good = await score(image);
      const now = performance.now();
      if (camera === mine && good) say(`${(1000 / (now - before)).toFixed(1)} pictures a second`);
      before = now;
    });
  }

  function stopCamera(): void {
    if (!camera) return;
    camera.stop();
    camera = undefined;
    cameraButton.setAttribute("aria-pressed", "false");
    video.hidden = true;
    picture.hidden = false;
    say("");
  }

  let typing = 0;
  function typed(): void {
    clearTimeout(typing);
    void locate();
    typing = window.setTimeout(() => image && void score(image), REST);
  }
  bars.addEventListener("click", ({ target }) => {
    if (!(target instanceof HTMLButtonElement)) return;
    const label = target.textContent;
    void locate(label === chosen ? undefined : label).then(() => chosen === undefined && !camera && say(""));
  });
  labels.addEventListener("input", typed);
  template.addEventListener("input", typed);

  const file = byId("file", HTMLInputElement);
  file.addEventListener("change", () => {
    const [chosen] = file.files ?? [];
    if (chosen) show(chosen, chosen.name);
    file.value = "";
  });
  byId("paste", HTMLButtonElement).addEventListener("click", () => {
    readClipboard().then(
      (blob) => show(blob, "the pasted picture"),
      (error) => say(sentence(error), true),
    );
  });
  cameraButton.addEventListener("click", () => void toggleCamera());
  takePictures(
    byId("stage", HTMLElement),
    () => !root.hidden,
    (dropped) => show(dropped, dropped.name),
  );

  byId("examples", HTMLElement).append(
    ...EXAMPLES.map((example) => {
      const thumb = make("img", { src: `examples/${example.file}`, alt: example.shows, loading: "lazy" });
      const button = make("button", { type: "button" }, thumb);
      button.addEventListener("click", () => void showExample(example));
      return make("li", {}, button);
    }),
  );

  void showExample(EXAMPLES[0]);
  context.onModel((loaded) => {
    model = loaded;
    texts = new TextCache(loaded);
    void locate();
    if (shown) embed(shown);
  });
  context.model().catch((error) => say(sentence(error), true));
  return stopCamera;
}
