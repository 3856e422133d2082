import type { Source } from "../checkpoint/source.ts";
import type { Weights } from "../checkpoint/weights.ts";

/** The files of one model, wherever they lie: a folder, a server, a list of files. */
export interface ModelFiles {
  /** Shown in errors. */
  readonly name: string;
  /**
   * What tells these weights from others of the same name, a commit or strong validators; undefined until known, or for
   * ever.
   */
  readonly version?: string;
  /** The file of that name, or undefined where the model has none. */
  open(file: string, signal?: AbortSignal): Promise<Source | undefined>;
  /** Releases what `open` took; files can be opened again afterwards. */
  close(): Promise<void>;
  /** The name of the weights' file where the model was named by it and it is a big_vision checkpoint. */
  readonly npz?: string;
  /** Where they come over a network, what names them there in full: they may be kept under it. */
  readonly key?: string;
  /** The weights where they are kept in the precision of the load; else they are in safetensors files. */
  weights?(signal?: AbortSignal): Promise<Weights>;
  /** Told when the towers are loaded: what could wait is done now, in the background. */
  afterLoad?(): void;
}
