import type { RemoteModel } from "./models/remote.ts";

/** What the page offers its views. */
export interface AppContext {
  /** The model in use. Waits while the first one loads; rejects where it could not be loaded. */
  model(): Promise<RemoteModel>;
  /** Calls back for the model in use, once there is one, and for every one that replaces it. */
  onModel(listener: (model: RemoteModel) => void): void;
  /** Has a screen reader say something, without moving the focus; what is still unsaid is replaced. */
  announce(text: string): void;
}
