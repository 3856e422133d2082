// What an application does with the package, the same in every runtime: logits of one picture against texts.
import { Siglip } from "siglip";

export async function score(backend, image, texts) {
  const model = await Siglip.load("demo", { backend, dtype: "f32" });
  try {
    const images = await model.embedImages([image]);
    const { logits } = model.similarity(images, await model.embedTexts(texts));
    return { ...model.device, logits: [...logits], embedding: [...images.data] };
  } finally {
    model.dispose();
  }
}
